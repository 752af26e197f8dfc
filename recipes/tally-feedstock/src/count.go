package main

import (
	"bufio"
	"io"
	"sort"
	"strings"
	"unicode"
)

// Counts is what a text is made of.
type Counts struct {
	Lines, Words, Bytes int
	// Frequency has lower-case words without their punctuation.
	Frequency map[string]int
}

// Count reads a text to its end.
func Count(text io.Reader) (Counts, error) {
	counts := Counts{Frequency: map[string]int{}}
	reader := bufio.NewReader(text)
	for {
		line, err := reader.ReadString('\n')
		counts.Bytes += len(line)
		if strings.HasSuffix(line, "\n") {
			counts.Lines++
		}
		for _, field := range strings.Fields(line) {
			counts.Words++
			word := strings.ToLower(strings.TrimFunc(field, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
			if word != "" {
				counts.Frequency[word]++
			}
		}
		if err == io.EOF {
			return counts, nil
		}
		if err != nil {
			return counts, err
		}
	}
}

// Top gives the n most frequent words, equal ones in alphabetical order.
func (c Counts) Top(n int) []string {
	words := make([]string, 0, len(c.Frequency))
	for word := range c.Frequency {
		words = append(words, word)
	}
	sort.Slice(words, func(i, j int) bool {
		a, b := words[i], words[j]
		if c.Frequency[a] != c.Frequency[b] {
			return c.Frequency[a] > c.Frequency[b]
		}
		return a < b
	})
	if len(words) > n {
		words = words[:n]
	}
	return words
}
