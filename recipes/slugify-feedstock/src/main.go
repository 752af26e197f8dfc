// Slugify makes names for files and links out of titles.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strings"
	"unicode"
)

var version = "unknown"

func main() {
	separator := flag.String("separator", "-", "what stands between `WORDS`")
	show := flag.Bool("version", false, "print the version and leave")
	flag.Parse()
	if *show {
		fmt.Println("slugify", version)
		return
	}
	if flag.NArg() > 0 {
		fmt.Println(Slug(strings.Join(flag.Args(), " "), *separator))
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(Slug(lines.Text(), *separator))
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "slugify:", err)
		os.Exit(1)
	}
}

var plain = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "é", "e", "è", "e", "ç", "c", "ñ", "n", "'", "")

// Slug of a title: its letters and digits in lower case, words joined by the separator.
func Slug(title, separator string) string {
	words := strings.FieldsFunc(plain.Replace(strings.ToLower(title)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, separator)
}
