// Package table lists planets.
package table

import (
	"sort"

	almanac "gonda.invalid/modules/Almanac"
)

// Names of all planets, in the order of their periods.
func Names() []string {
	names := make([]string, 0, len(almanac.Orbits))
	for name := range almanac.Orbits {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		return almanac.Orbits[names[i]].PeriodDays < almanac.Orbits[names[j]].PeriodDays
	})
	return names
}
