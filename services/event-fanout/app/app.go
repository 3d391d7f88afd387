// Package app is the event-fanout service: its settings and its composition.
package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/event-fanout/internal/config"
)

// Config holds the settings of the service.
type Config = config.Config

// Load reads the settings from an environment as os.Environ returns it; defaults are those of
// a composition that knows better than the tags.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	return config.Load(environ, defaults...)
}

// App is the service, built and not yet running.
type App struct {
	components []run.Component
	ready      run.Ready
	public     http.Handler
	internal   http.Handler
}

// Option changes the composition.
type Option func(*options)

type options struct{ embedded bool }

// Embedded leaves the stream listener out: the composition mounts [App.Public] itself.
func Embedded() Option { return func(o *options) { o.embedded = true } }

// New builds the service on a host and opens its listeners. NATS may be unavailable.
func New(ctx context.Context, cfg Config, host run.Host, opts ...Option) (*App, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	warnOpen(ctx, host.Telemetry.Logger, cfg)
	f, err := build(ctx, cfg, host)
	if err != nil {
		return nil, err
	}
	proxies, err := httpkit.ParseProxies(cfg.Proxies)
	if err != nil {
		return nil, err
	}
	a := &App{components: f.background()} // they stop in reverse order: clients come last
	if err := f.workers(ctx, a, proxies); err != nil {
		return nil, err
	}
	for _, intake := range f.intakes {
		a.components = append(a.components, intake)
	}
	if err := f.clients(ctx, a, proxies, o.embedded); err != nil {
		return nil, err
	}
	return a, nil
}

// Components returns the parts to run, in start order.
func (a *App) Components() []run.Component { return a.components }

// Ready returns the addresses that the service has.
func (a *App) Ready() run.Ready { return a.ready }

// Public returns the routes for clients, for a composition that has the public listener.
func (a *App) Public() http.Handler { return a.public }

// Internal returns the routes for workers, likewise.
func (a *App) Internal() http.Handler { return a.internal }

// Run is the life of the split process.
func Run(ctx context.Context, cfg Config, stdout io.Writer) error {
	return run.Serve(
		ctx,
		"event-fanout",
		cfg.Process,
		stdout,
		func(ctx context.Context, host run.Host) (run.Part, error) { return New(ctx, cfg, host) },
	)
}

// warnOpen says that nothing guards the workers' listener but the request id: workers of today send no token.
func warnOpen(ctx context.Context, logger *slog.Logger, cfg Config) {
	if cfg.InternalToken == "" && cfg.Env != "development" {
		logger.WarnContext(
			ctx,
			"the workers' listener takes callbacks from whoever reaches it and knows a request id: "+
				"set GATEWAY_INTERNAL_TOKEN if the workers can send one, and keep the listener on a private network",
			"bind",
			cfg.InternalBind,
			"port",
			cfg.InternalPort,
		)
	}
}
