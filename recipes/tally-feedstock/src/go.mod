module gonda.invalid/samples/tally

go 1.21
