module gonda.invalid/samples/lumen

go 1.20

require gonda.invalid/modules/fold v1.1.0
