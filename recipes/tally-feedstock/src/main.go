// Tally counts the lines, words and bytes of texts and shows their most frequent words.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	top := flag.Int("top", 0, "also show the `N` most frequent words")
	flag.Parse()
	if err := run(os.Stdout, os.Stdin, flag.Args(), *top); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, stdin io.Reader, names []string, top int) error {
	if len(names) == 0 {
		return report(out, "-", stdin, top)
	}
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		err = report(out, name, file, top)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func report(out io.Writer, name string, text io.Reader, top int) error {
	counts, err := Count(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(out, "%s: %d lines, %d words, %d bytes\n", name, counts.Lines, counts.Words, counts.Bytes)
	for _, word := range counts.Top(top) {
		fmt.Fprintf(out, "%7d %s\n", counts.Frequency[word], word)
	}
	return nil
}
