#include "adler.h"

uint32_t adler32_more(uint32_t former, const unsigned char *bytes, size_t count)
{
	uint32_t a = former & 0xffff, b = former >> 16;
	while (count > 0) {
		size_t block = count < 5552 ? count : 5552; /* b can't overflow before */
		count -= block;
		while (block-- > 0) {
			a += *bytes++;
			b += a;
		}
		a %= 65521;
		b %= 65521;
	}
	return b << 16 | a;
}
