#include <stddef.h>
#include <stdint.h>

/* Adler-32 of more bytes, given that of the former ones; it begins with 1. */
uint32_t adler32_more(uint32_t former, const unsigned char *bytes, size_t count);
