@echo on
if not exist "%LIBRARY_BIN%" md "%LIBRARY_BIN%"
go build -mod=vendor -ldflags="-s -w" ^
    -o "%LIBRARY_BIN%\glossary.exe" .
if %errorlevel% neq 0 exit /b %errorlevel%
