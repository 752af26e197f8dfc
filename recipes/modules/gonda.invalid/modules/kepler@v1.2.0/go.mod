module gonda.invalid/modules/kepler

go 1.20

require gonda.invalid/modules/Almanac v0.3.0
