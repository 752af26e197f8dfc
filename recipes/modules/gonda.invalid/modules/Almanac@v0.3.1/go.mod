module gonda.invalid/modules/Almanac

go 1.20
