// Command sandbox is a NoETL look-alike and an OIDC issuer for development and tests.
package main

import (
	"os"

	"github.com/noetl/gateway/services/sandbox/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr)) }
