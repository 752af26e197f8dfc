// Package zone knows in which time zone times are shown.
package zone

import "time"

// Default is the name of the zone; the linker may set another with -X.
var Default = "Local"

// Location of the default zone; UTC where the machine doesn't know it.
func Location() *time.Location {
	location, err := time.LoadLocation(Default)
	if err != nil {
		return time.UTC
	}
	return location
}
