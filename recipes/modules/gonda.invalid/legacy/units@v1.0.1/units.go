// Package units converts angles. It is from before modules: it has no go.mod.
package units

import "math"

// Radians of an angle in degrees.
func Radians(degrees float64) float64 { return degrees * math.Pi / 180 }

// Degrees of an angle in radians, from 0 up to 360.
func Degrees(radians float64) float64 {
	degrees := math.Mod(radians*180/math.Pi, 360)
	if degrees < 0 {
		degrees += 360
	}
	return degrees
}
