// Tohex is one half of hexpair: it writes hexadecimal digits.
package main

import (
	"flag"
	"fmt"
	"os"

	"gonda.invalid/samples/hexpair/hexpair"
)

func main() {
	flag.Usage = func() { fmt.Println("usage: tohex < input > output") }
	flag.Parse()
	if err := hexpair.Encode(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "tohex:", err)
		os.Exit(1)
	}
}
