module gonda.invalid/samples/epochal

go 1.20
