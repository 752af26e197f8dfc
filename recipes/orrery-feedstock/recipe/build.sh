#!/usr/bin/env bash
set -eux

# As many recipes do: leave nothing of the module cache behind.
go install -v .
chmod -R u+w "$(go env GOPATH)" && rm -r "$(go env GOPATH)"
