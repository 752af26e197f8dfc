#!/usr/bin/env bash

set -o xtrace -o nounset -o pipefail -o errexit

go build -v -ldflags="-s -w" -o "${PREFIX}/bin/${PKG_NAME}" .
