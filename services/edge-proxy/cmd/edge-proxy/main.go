// Command edge-proxy runs the public listener of the gateway.
package main

import (
	"os"

	"github.com/noetl/gateway/services/edge-proxy/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr)) }
