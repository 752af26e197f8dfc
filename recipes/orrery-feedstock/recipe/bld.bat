@echo on
go build -v -o "%PREFIX%\bin\%PKG_NAME%.exe" . || goto :error
goto :EOF

:error
echo Failed with error #%errorlevel%.
exit 1
