@echo on
setlocal EnableDelayedExpansion

go build -v -ldflags="-s -w -X main.version=%PKG_VERSION%" -o "%LIBRARY_BIN%\lumen.exe" . || goto :error
go-licenses save . --save_path=license-files || goto :error

mkdir "%LIBRARY_PREFIX%\share\bash-completion\completions" "%LIBRARY_PREFIX%\share\fish\vendor_completions.d" || goto :error
"%LIBRARY_BIN%\lumen.exe" completion bash > "%LIBRARY_PREFIX%\share\bash-completion\completions\lumen" || goto :error
lumen completion fish > "%LIBRARY_PREFIX%\share\fish\vendor_completions.d\lumen.fish" || goto :error

goto :EOF

:error
echo Failed with error #!errorlevel!.
exit 1
