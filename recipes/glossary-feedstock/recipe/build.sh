#!/bin/bash
set -ex

mkdir -p "${PREFIX}/bin"
go build -mod=vendor -ldflags="-s -w" -o "${PREFIX}/bin/glossary" .
test ! -e "$(go env GOMODCACHE)/cache/download/gonda.invalid"
