// Fromhex is one half of hexpair: it reads hexadecimal digits.
package main

import (
	"flag"
	"fmt"
	"os"

	"gonda.invalid/samples/hexpair/hexpair"
)

func main() {
	flag.Usage = func() { fmt.Println("usage: fromhex < input > output") }
	flag.Parse()
	if err := hexpair.Decode(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "fromhex:", err)
		os.Exit(1)
	}
}
