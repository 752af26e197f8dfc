// Adlersum prints the Adler-32 sums of files; the sum itself is C.
package main

// #include "adler.h"
import "C"

import (
	"fmt"
	"io"
	"os"
	"unsafe"
)

func main() {
	if len(os.Args) == 1 {
		show("-", os.Stdin)
	}
	for _, name := range os.Args[1:] {
		file, err := os.Open(name)
		if err != nil {
			fail(err)
		}
		show(name, file)
		file.Close()
	}
}

func show(name string, file io.Reader) {
	sum, buffer := C.uint32_t(1), make([]byte, 64<<10)
	for {
		count, err := file.Read(buffer)
		if count > 0 {
			sum = C.adler32_more(sum, (*C.uchar)(unsafe.Pointer(&buffer[0])), C.size_t(count))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			fail(err)
		}
	}
	fmt.Printf("%08x  %s\n", uint32(sum), name)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "adlersum:", err)
	os.Exit(1)
}
