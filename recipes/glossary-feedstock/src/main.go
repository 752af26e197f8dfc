// Glossary explains the words of conda packages.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"strings"

	"gonda.invalid/modules/fold"
)

//go:embed terms.txt
var terms string

func main() {
	width := flag.Int("width", 72, "longest `LINE` in characters")
	flag.Parse()
	found := 0
	for _, line := range strings.Split(strings.TrimSpace(terms), "\n") {
		term, meaning, _ := strings.Cut(line, ": ")
		if !wanted(term, flag.Args()) {
			continue
		}
		found++
		fmt.Println(term)
		for _, line := range fold.Lines(meaning, *width-4) {
			fmt.Println("    " + line)
		}
	}
	if found == 0 {
		fmt.Fprintln(os.Stderr, "glossary: no such term")
		os.Exit(1)
	}
}

func wanted(term string, words []string) bool {
	for _, word := range words {
		if strings.Contains(term, word) {
			return true
		}
	}
	return len(words) == 0
}
