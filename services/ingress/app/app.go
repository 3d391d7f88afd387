// Package app is the ingress service: its settings and its composition.
package app

import (
	"context"
	"io"
	"net/http"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/services/ingress/internal/adapters/natskv"
	"github.com/noetl/gateway/services/ingress/internal/adapters/noetlaudit"
	"github.com/noetl/gateway/services/ingress/internal/adapters/noetllisteners"
	"github.com/noetl/gateway/services/ingress/internal/adapters/oidctokens"
	"github.com/noetl/gateway/services/ingress/internal/adapters/prom"
	"github.com/noetl/gateway/services/ingress/internal/adapters/senderhttp"
	"github.com/noetl/gateway/services/ingress/internal/config"
	"github.com/noetl/gateway/services/ingress/internal/httpapi"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
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
}

// Option changes the composition.
type Option func(*options)

type options struct{ embedded bool }

// Embedded leaves the listener out: the composition mounts [App.Public] itself.
func Embedded() Option { return func(o *options) { o.embedded = true } }

// New builds the service on a host and opens its listener.
func New(ctx context.Context, cfg Config, host run.Host, opts ...Option) (*App, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	proxies, err := httpkit.ParseProxies(cfg.Trusted)
	if err != nil {
		return nil, err
	}
	a := &App{}
	svc, err := a.service(cfg, host)
	if err != nil {
		return nil, err
	}
	a.public = proxies.Wrap(routes(svc, cfg, host))
	if o.embedded {
		return a, nil
	}
	return a, a.listen(ctx, cfg, host, proxies)
}

// routes are what partners send deliveries to.
func routes(svc *ingress.Service, cfg Config, host run.Host) http.Handler {
	mux := http.NewServeMux()
	host.Health.Register(mux)
	limits := kit.Limits{Deadline: cfg.Patience, Concurrency: cfg.Deliveries}
	httpapi.Register(mux, svc, kit.NewObserver(host.Telemetry, "ingress"), limits, cfg.MaxBody)
	return httpkit.Routes(mux)
}

// listen opens the one listener, for partners.
func (a *App) listen(ctx context.Context, cfg Config, host run.Host, proxies httpkit.Proxies) error {
	ln, err := httpkit.Listen(ctx, cfg.Bind, cfg.Port, "GATEWAY_PORT")
	if err != nil {
		return err
	}
	a.ready.Public = httpkit.URL(ln)
	handler := httpkit.Edge(host.Telemetry, host.Health.Retire(a.public))
	listener := httpkit.NewServer("ingress listener", ln, handler, host.Telemetry.Logger, nil)
	a.components = append(a.components, listener.Within(host.Bounds, proxies))
	return nil
}

// service builds the domain on its adapters.
func (a *App) service(cfg Config, host run.Host) (*ingress.Service, error) {
	tel := host.Telemetry
	room := cfg.Process.NATS.Room(tel.Logger)
	server := noetl.New(cfg.NoETL, tel)
	listeners, err := noetllisteners.New(server, cfg.ListenerTTL, cfg.Stale)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(host.NATS)
	if err != nil {
		return nil, err
	}
	refusals, err := kit.NewRefusals(tel.Registry)
	if err != nil {
		return nil, err
	}
	tokens, err := oidctokens.New(
		oidctokens.Config{KeysURL: cfg.GoogleKeys, Issuer: cfg.Google, Logger: tel.Logger}, oidc.Client(nil),
	)
	if err != nil {
		return nil, err
	}
	senders := senderhttp.New(http.DefaultTransport)
	auditor := noetlaudit.New(server, tel.Logger)
	claims := natskv.NewClaimStore(js, cfg.ClaimTTL, room)
	host.Health.Add(
		httpkit.Check{Name: "noetl", Probe: server.Probe},
		httpkit.Check{Name: natskit.StorageCheck, Probe: claims.Storage().Probe},
	)
	tell := run.Func("room in NATS", func(ctx context.Context) error {
		return natskit.TellRoom(ctx, host.NATS, js, int64(room.Replicas)*room.Of(natskit.Claims),
			"GATEWAY_STORE_MAX_BYTES", tel.Logger)
	})
	a.components = append(a.components, auditor, tell)
	return ingress.New(ingress.Deps{
		Reserved:     cfg.Playbooks.Reserved(),
		Listeners:    listeners,
		Dispatcher:   server,
		Observer:     prom.New(tel.Registry),
		Logger:       tel.Logger,
		NewID:        uuid.NewString,
		Auditor:      auditor,
		Tokens:       tokens,
		Certificates: webhook.NewCertificates(senders.Certificate),
		Confirmer:    senders,
		Claims:       claims,
		ClaimTTL:     cfg.ClaimTTL,
		PerListener:  kit.NewRates(cfg.RatePerMin, cfg.RatePerMin/10).Count(refusals, "listener"),
		Failures:     kit.NewRates(cfg.FailPerMin, cfg.FailPerMin/10).Count(refusals, "failed_delivery"),
	}), nil
}

// Components returns the parts to run, in start order.
func (a *App) Components() []run.Component { return a.components }

// Ready returns the addresses that the service has.
func (a *App) Ready() run.Ready { return a.ready }

// Public returns the routes, for a composition that has the public listener.
func (a *App) Public() http.Handler { return a.public }

// Run is the life of the split process.
func Run(ctx context.Context, cfg Config, stdout io.Writer) error {
	return run.Serve(
		ctx,
		"ingress",
		cfg.Process,
		stdout,
		func(ctx context.Context, host run.Host) (run.Part, error) { return New(ctx, cfg, host) },
	)
}

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name: "ingress", Load: Load, Serve: Run,
		Process: func(c Config) run.ProcessConfig { return c.Process },
	}.Main(args, stdout, stderr)
}
