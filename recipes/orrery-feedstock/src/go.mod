module gonda.invalid/samples/orrery

go 1.20

require (
	gonda.invalid/legacy/units v1.0.1
	gonda.invalid/modules/Almanac v0.3.1
	gonda.invalid/modules/kepler v1.2.0
)
