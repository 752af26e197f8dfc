module gonda.invalid/samples/slugify

go 1.21
