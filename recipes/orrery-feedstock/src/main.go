// Orrery shows where the planets stand on their orbits.
package main

import (
	"fmt"
	"os"
	"strconv"

	"gonda.invalid/legacy/units"
	almanac "gonda.invalid/modules/Almanac"
	"gonda.invalid/modules/Almanac/table"
	"gonda.invalid/modules/kepler"
)

func main() {
	days := 0.0
	if len(os.Args) > 1 {
		var err error
		if days, err = strconv.ParseFloat(os.Args[1], 64); err != nil {
			fmt.Fprintln(os.Stderr, "usage: orrery [DAYS SINCE 2000-01-01]")
			os.Exit(2)
		}
	}
	for _, name := range table.Names() {
		fmt.Printf("%-8s %7.3f°\n", name, units.Degrees(kepler.TrueAnomaly(almanac.Orbits[name], days)))
	}
}
