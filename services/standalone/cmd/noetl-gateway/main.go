// Command noetl-gateway runs the whole gateway in one process.
package main

import (
	"os"

	"github.com/noetl/gateway/services/standalone/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr)) }
