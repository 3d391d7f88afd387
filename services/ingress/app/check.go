package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/ingress/internal/adapters/listenerfiles"
	"github.com/noetl/gateway/services/ingress/internal/adapters/noetllisteners"
)

// Check says what is wrong with the listener files, which a start only logs, names the port that a start opens, and
// tests NoETL.
func Check(ctx context.Context, cfg Config, report *check.Report, opts ...Option) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if !o.embedded {
		report.Listens("GATEWAY_PORT", cfg.Bind, cfg.Port)
	}
	cfg.NoETL.Check(ctx, report)
	if cfg.Listeners != "" && cfg.NoETL.Validate() == nil {
		checkFiles(ctx, cfg, report)
	}
}

func checkFiles(ctx context.Context, cfg Config, report *check.Report) {
	server := noetl.New(cfg.NoETL, telemetry.Nop("check"))
	theirs, err := noetllisteners.New(server, cfg.ListenerTTL, cfg.Stale)
	if report.Fail("listeners", err) {
		return
	}
	files, err := listenerfiles.Open(listenerfiles.Options{
		Path: cfg.Listeners, NoETL: theirs, Credentials: server, Refresh: cfg.ListenerTTL, Getenv: os.LookupEnv,
	})
	if report.Fail("listeners", err) {
		return
	}
	problems := files.Problems()
	for _, problem := range problems {
		report.Fail("listeners", errors.New(problem))
	}
	if len(problems) == 0 {
		report.Good("listeners", "%s: %d listeners", cfg.Listeners, len(files.Listed()))
	}
	if names := files.Awaited(); len(names) > 0 {
		what := fmt.Sprintf("%d of NoETL's", len(names))
		report.Test(ctx, "credentials", what, func(ctx context.Context) (string, error) {
			files.Ask(ctx)
			var missing []error
			for _, problem := range files.Problems() {
				missing = append(missing, errors.New(problem))
			}
			return "", errors.Join(missing...)
		})
	}
}
