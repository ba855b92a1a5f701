module tegata.dev/others

go 1.24.0

require golang.org/x/mod v0.30.0

require github.com/transparency-dev/formats v0.0.0-20251208091212-1378f9e1b1b7
