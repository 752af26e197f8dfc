// Epochal converts between seconds since 1970 and RFC 3339, in both directions.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"gonda.invalid/samples/epochal/zone"
)

// version is set by the linker: -X main.version=…
var version = "unknown"

func main() {
	show := flag.Bool("version", false, "print the version and leave")
	flag.Parse()
	if *show {
		fmt.Println("epochal", version)
		return
	}
	failed := false
	for _, argument := range flag.Args() {
		converted, err := convert(argument)
		if err != nil {
			fmt.Fprintf(os.Stderr, "epochal: %q is neither seconds nor RFC 3339\n", argument)
			failed = true
			continue
		}
		fmt.Println(converted)
	}
	if failed {
		os.Exit(1)
	}
}

func convert(text string) (string, error) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0).In(zone.Location()).Format(time.RFC3339), nil
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(moment.Unix(), 10), nil
}
