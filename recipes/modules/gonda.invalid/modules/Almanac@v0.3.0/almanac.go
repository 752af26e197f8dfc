// Package almanac holds what is known of the planets' orbits, at the epoch J2000.
package almanac

// Orbit of a planet around the sun.
type Orbit struct {
	PeriodDays, Eccentricity, MeanAnomalyDegrees float64
}

// Orbits by the planets' names.
var Orbits = map[string]Orbit{
	"mercury": {PeriodDays: 87.969, Eccentricity: 0.2056, MeanAnomalyDegrees: 174.796},
	"venus":   {PeriodDays: 224.701, Eccentricity: 0.0068, MeanAnomalyDegrees: 50.115},
	"earth":   {PeriodDays: 365.256, Eccentricity: 0.0167, MeanAnomalyDegrees: 357.517},
	"mars":    {PeriodDays: 686.980, Eccentricity: 0.0934, MeanAnomalyDegrees: 19.373},
}
