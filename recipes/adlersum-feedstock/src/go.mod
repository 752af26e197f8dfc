module gonda.invalid/samples/adlersum

go 1.20
