package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

type colour [3]uint8

var named = map[string]colour{
	"black": {0, 0, 0}, "white": {255, 255, 255}, "red": {255, 0, 0}, "lime": {0, 255, 0}, "blue": {0, 0, 255},
	"orange": {255, 165, 0}, "teal": {0, 128, 128}, "indigo": {75, 0, 130},
}

func parse(text string) (colour, error) {
	if known, ok := named[strings.ToLower(text)]; ok {
		return known, nil
	}
	digits := strings.TrimPrefix(text, "#")
	value, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) != 6 {
		return colour{}, fmt.Errorf("%q is neither the name of a colour nor #RRGGBB", text)
	}
	return colour{uint8(value >> 16), uint8(value >> 8), uint8(value)}, nil
}

func each(arguments []string, show func(colour) string) error {
	for _, argument := range arguments {
		parsed, err := parse(argument)
		if err != nil {
			return err
		}
		fmt.Println(show(parsed))
	}
	return nil
}

func hexadecimal(arguments []string) error {
	return each(arguments, func(c colour) string { return fmt.Sprintf("#%02X%02X%02X", c[0], c[1], c[2]) })
}

// Relative luminance as the web's accessibility guidelines define it.
func luminance(arguments []string) error {
	return each(arguments, func(c colour) string {
		linear := func(part uint8) float64 {
			value := float64(part) / 255
			if value <= 0.04045 {
				return value / 12.92
			}
			return math.Pow((value+0.055)/1.055, 2.4)
		}
		return fmt.Sprintf("%.4f", 0.2126*linear(c[0])+0.7152*linear(c[1])+0.0722*linear(c[2]))
	})
}
