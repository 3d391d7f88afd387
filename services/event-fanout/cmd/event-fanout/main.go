// Command event-fanout runs the service that brings results and live state back to clients.
package main

import (
	"os"

	"github.com/noetl/gateway/services/event-fanout/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr)) }
