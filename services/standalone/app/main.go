package app

import (
	"context"
	"io"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
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
	verb := func(mode Mode) func(context.Context, io.Writer) error {
		return func(ctx context.Context, stdout io.Writer) error {
			return Run(ctx, mode, settings.Environ(), stdout, stderr)
		}
	}
	return run.Program{
		Name:   "noetl-gateway",
		Verbs:  map[string]func(context.Context, io.Writer) error{"serve": verb(Serve), "dev": verb(Dev)},
		Tools:  tools(),
		Config: Table,
		AdminURL: func() (string, error) {
			cfg, err := config.Load(settings.Environ())
			if err != nil {
				return "", err
			}
			return cfg.Process.AdminURL()
		},
	}.Main(args, stdout, stderr)
}

// tools are the verbs that end: about the configuration, and those that ask a running gateway.
func tools() map[string]run.Tool {
	load := func() (operatorcli.Config, error) {
		var cfg operatorcli.Config
		return cfg, settings.Load(&cfg, settings.Environ())
	}
	return map[string]run.Tool{
		"routes":     edge.RoutesTool(),
		"deliveries": operatorcli.Deliveries(load),
		"listeners": operatorcli.Listeners(load, sample, map[string]run.Tool{"validate": {
			Usage: "[--json] FILE…",
			Run: func(args []string, stdout io.Writer) error {
				return ingress.ListenersTool().Run(append([]string{"validate"}, args...), stdout)
			},
		}}),
	}
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
			if err := settings.Load(c, environ, defaults...); err != nil {
				return err
			}
		}
	}
	return settings.Table(w, effective, structs...)
}
