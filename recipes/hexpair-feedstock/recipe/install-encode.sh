#!/bin/bash
set -ex

export CGO_ENABLED=0
mkdir -p "${PREFIX}/bin"
go build -trimpath -ldflags "-s -w" -o "${PREFIX}/bin/tohex" ./cmd/tohex
