@echo on
setlocal
set CGO_ENABLED=0
go build -trimpath -ldflags "-s -w" -o %LIBRARY_BIN%\fromhex.exe .\cmd\fromhex
if errorlevel 1 exit 1
