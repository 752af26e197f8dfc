// Package fold breaks text into lines.
package fold

import (
	"strings"
	"unicode/utf8"
)

// Lines of a text, none longer than width characters unless a single word is.
func Lines(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for _, word := range strings.Fields(text) {
		size := utf8.RuneCountInString(word)
		if length > 0 && length+1+size > width {
			lines, line, length = append(lines, line), "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+size
	}
	if length > 0 {
		lines = append(lines, line)
	}
	return lines
}
