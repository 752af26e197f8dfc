module gonda.invalid/samples/hexpair

go 1.21
