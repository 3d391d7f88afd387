package config

import (
	"errors"
	"fmt"

	"github.com/noetl/gateway/libs/noetl"
)

// Authority holds the settings that decide who may do what at NoETL.
type Authority struct {
	EnforceAccess    string   `env:"GATEWAY_ENFORCE_ACCESS" file:"server.enforce_access" default:"off"`
	RoutesFile       string   `env:"GATEWAY_ROUTES_FILE" file:"server.routes_file"`
	RoutesMode       string   `env:"GATEWAY_ROUTES_MODE" file:"server.routes_mode" default:"enforce"`
	OperatorRoles    []string `env:"GATEWAY_OPERATOR_ROLES" file:"server.operator_roles" default:"admin,developer"`
	Playbooks        noetl.AuthPlaybooks
	ConsoleIsSandbox bool `env:"GATEWAY_CONSOLE_SANDBOX" file:"server.console_sandbox" default:"false"`
}

// Validate reports everything that is wrong with the settings.
func (a Authority) Validate() error {
	var problems []error
	if a.EnforceAccess != "off" && a.EnforceAccess != "execute" && a.EnforceAccess != "all" {
		problems = append(
			problems,
			fmt.Errorf("GATEWAY_ENFORCE_ACCESS=%q must be off, execute or all", a.EnforceAccess),
		)
	}
	if a.RoutesMode != "enforce" && a.RoutesMode != "log" {
		problems = append(problems, fmt.Errorf("GATEWAY_ROUTES_MODE=%q must be enforce or log", a.RoutesMode))
	}
	return errors.Join(problems...)
}
