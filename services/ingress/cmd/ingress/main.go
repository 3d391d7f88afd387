// Command ingress runs the service that takes deliveries from partners.
package main

import (
	"os"

	"github.com/noetl/gateway/services/ingress/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr)) }
