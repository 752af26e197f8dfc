@echo on
setlocal EnableDelayedExpansion

go build -v -ldflags="-s -w -X main.version=%PKG_VERSION%" -o "%LIBRARY_BIN%\lumen.exe" . || goto :error
go-licenses save . --save_path=license-files || goto :error

goto :EOF

:error
echo Failed with error #!errorlevel!.
exit 1
