#!/usr/bin/env bash

set -o xtrace -o nounset -o pipefail -o errexit

go build -v -ldflags="-s -w -X main.version=${PKG_VERSION}" -o "${PREFIX}/bin/lumen" .
go-licenses save . --save_path=license-files

mkdir -p "${PREFIX}"/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
"${PREFIX}/bin/lumen" completion bash > "${PREFIX}/share/bash-completion/completions/lumen"
lumen completion zsh > "${PREFIX}/share/zsh/site-functions/_lumen"
lumen completion fish > "${PREFIX}/share/fish/vendor_completions.d/lumen.fish"

# The module cache is read-only where GOFLAGS don't say otherwise.
chmod -R u+w "${SRC_DIR}/gopath/pkg/mod" || true
