// Package kepler says where on its orbit a body is.
package kepler

import (
	"math"

	almanac "gonda.invalid/modules/Almanac"
)

// TrueAnomaly of a body, in radians, so many days after the epoch.
func TrueAnomaly(orbit almanac.Orbit, days float64) float64 {
	mean := orbit.MeanAnomalyDegrees*math.Pi/180 + 2*math.Pi*days/orbit.PeriodDays
	e := orbit.Eccentricity
	eccentric := mean
	for range [32]struct{}{} {
		step := (eccentric - e*math.Sin(eccentric) - mean) / (1 - e*math.Cos(eccentric))
		eccentric -= step
		if math.Abs(step) < 1e-12 {
			break
		}
	}
	return 2 * math.Atan2(math.Sqrt(1+e)*math.Sin(eccentric/2), math.Sqrt(1-e)*math.Cos(eccentric/2))
}
