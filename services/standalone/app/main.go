package app

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/webhook"
	auth "github.com/noetl/gateway/services/auth/app"
	edge "github.com/noetl/gateway/services/edge-proxy/app"
	fanout "github.com/noetl/gateway/services/event-fanout/app"
	ingress "github.com/noetl/gateway/services/ingress/app"
	sandbox "github.com/noetl/gateway/services/sandbox/app"
	"github.com/noetl/gateway/services/standalone/internal/config"
	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

// Main is the command line of noetl-gateway; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	verb := func(name, short string, mode Mode) *cobra.Command {
		return &cobra.Command{
			Use: name, Short: short, Args: run.Arguments(0, 0),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return Run(cmd.Context(), mode, settings.Environ(), cmd.OutOrStdout(), stderr)
			},
		}
	}
	return run.Program{
		Name: "noetl-gateway", About: "the gateway of NoETL, all services in one process",
		Verbs: append([]*cobra.Command{
			verb("serve", "run the gateway", Serve),
			verb("dev", "run the gateway with a sandbox NoETL and accounts, for development", Dev),
			edge.RoutesVerb(),
		}, operatorVerbs()...),
		Config: Table,
		Modes:  []string{"serve", "dev"},
		Check: func(ctx context.Context, mode string, report *check.Report) {
			Check(ctx, map[string]Mode{"serve": Serve, "dev": Dev}[mode], settings.Environ(), report)
		},
		AdminURL: func() (string, error) {
			cfg, err := config.Load(settings.Environ())
			if err != nil {
				return "", err
			}
			return cfg.Process.AdminURL()
		},
	}.Main(args, stdout, stderr)
}

// operatorVerbs are those that ask a running gateway.
func operatorVerbs() []*cobra.Command {
	var presets []string
	for _, p := range webhook.Presets() {
		presets = append(presets, p.Name)
	}
	return operatorcli.Commands(operatorcli.Deps{
		Load: func() (operatorcli.Config, error) {
			var cfg operatorcli.Config
			return cfg, settings.Load(&cfg, settings.Environ())
		},
		Sample: sample, Presets: presets, Validate: ingress.ValidateVerb(), Now: time.Now,
	})
}

// OwnSettings returns the settings that no service has but standalone, for its README.
func OwnSettings() any { return &config.Own{} }

// Table writes the settings of every service in the process, each once.
func Table(w io.Writer, effective bool) error {
	environ, defaults := settings.Environ(), []settings.Default{{Name: "NATS_URL", Value: ""}}
	if !effective {
		environ = nil
	}
	var own config.Config
	var e edge.Config
	var f fanout.Config
	var a auth.Config
	var i ingress.Config
	var s sandbox.Config
	structs := []any{&own, &e, &f, &a, &i, &s}
	if effective {
		for _, c := range structs {
			// What is wrong with values that are known is said by the check.
			if err := settings.Load(c, environ, defaults...); errors.Is(err, settings.ErrFile) {
				return err
			}
		}
	}
	return settings.Table(w, effective, structs...)
}
