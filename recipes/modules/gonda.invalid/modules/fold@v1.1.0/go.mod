module gonda.invalid/modules/fold

go 1.20
