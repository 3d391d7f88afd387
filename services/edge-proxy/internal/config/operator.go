package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/weborigin"
)

// Operator holds the settings of what those who run the gateway use.
type Operator struct {
	Surface string `env:"GATEWAY_OPERATOR_SURFACE" file:"server.operator_surface" default:"separate"`
	Port    int    `env:"GATEWAY_OPERATOR_PORT" file:"server.operator_port" default:"8094"`
	Bind    string `env:"GATEWAY_OPERATOR_BIND" file:"server.operator_bind" default:"127.0.0.1"`
	URL     string `env:"GATEWAY_OPERATOR_URL" file:"server.operator_url"`
}

// Separate reports whether operators have a listener of their own.
func (o Operator) Separate() bool { return o.Surface == "separate" }

// Origin returns the origin at which browsers reach the listener, "" if it is what they send as Host.
func (o Operator) Origin() string { return strings.TrimRight(o.URL, "/") }

// Validate reports everything that is wrong with the settings.
func (o Operator) Validate() error {
	problems := []error{settings.Port("GATEWAY_OPERATOR_PORT", o.Port)}
	if o.Surface != "separate" && o.Surface != "public" {
		problems = append(problems, fmt.Errorf("GATEWAY_OPERATOR_SURFACE=%q must be separate or public", o.Surface))
	}
	if o.URL != "" && !weborigin.IsOrigin(o.Origin()) {
		problems = append(problems,
			fmt.Errorf("GATEWAY_OPERATOR_URL=%q must be an origin such as https://ops.example.com", o.URL))
	}
	return errors.Join(problems...)
}
