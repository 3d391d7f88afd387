// Command auth is the auth service as a process of its own.
package main

import (
	"os"

	"github.com/noetl/gateway/services/auth/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr)) }
