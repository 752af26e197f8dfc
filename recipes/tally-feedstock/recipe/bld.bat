@echo on

if not exist "%LIBRARY_BIN%" mkdir "%LIBRARY_BIN%"
go build -v -ldflags="-s -w" -o "%LIBRARY_BIN%\%PKG_NAME%.exe" . || goto :error

goto :EOF

:error
echo Failed with error #%errorlevel%.
exit /b %errorlevel%
