// Package app is the ingress service: its settings and its composition.
package app

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/services/ingress/internal/adapters/natsinbox"
	"github.com/noetl/gateway/services/ingress/internal/adapters/noetlaudit"
	"github.com/noetl/gateway/services/ingress/internal/adapters/oidctokens"
	"github.com/noetl/gateway/services/ingress/internal/adapters/prom"
	"github.com/noetl/gateway/services/ingress/internal/adapters/senderhttp"
	"github.com/noetl/gateway/services/ingress/internal/config"
	"github.com/noetl/gateway/services/ingress/internal/httpapi"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/natsapi"
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
	leave      run.Component
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
	observer := kit.NewObserver(host.Telemetry, "ingress")
	svc, err := a.service(cfg, host, observer)
	if err != nil {
		return nil, err
	}
	a.public = proxies.Wrap(routes(svc, cfg, host, observer))
	if o.embedded {
		return a, nil
	}
	if err := a.listen(ctx, cfg, host, proxies); err != nil {
		return nil, err
	}
	a.components = append(a.components, a.leave)
	return a, nil
}

// routes are what partners send deliveries to.
func routes(svc *ingress.Service, cfg Config, host run.Host, observer kit.Observer) http.Handler {
	mux := http.NewServeMux()
	host.Health.Register(mux)
	limits := httpapi.Limits{Deadline: cfg.Deadline, Concurrency: cfg.Deliveries, MaxBody: cfg.MaxBody}
	httpapi.Register(mux, svc, observer, limits)
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
func (a *App) service(cfg Config, host run.Host, observer kit.Observer) (*ingress.Service, error) {
	tel := host.Telemetry
	server := noetl.New(cfg.NoETL, tel)
	listeners, err := a.listeners(cfg, host, server)
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
	keys := tel.Outages.Of("google_keys", cfg.GoogleKeys)
	tokens, err := oidctokens.New(
		oidctokens.Config{KeysURL: cfg.GoogleKeys, Issuer: cfg.Google, Outage: keys}, oidc.Client(nil),
	)
	if err != nil {
		return nil, err
	}
	senders := senderhttp.New(http.DefaultTransport)
	auditor := noetlaudit.New(server, tel.Logger)
	inbox := natsinbox.New(js, natsinbox.Config{
		Replicas: cfg.Process.NATS.Replicas, Room: cfg.Process.NATS.Room(tel.Logger), Retention: cfg.Retention,
		MaxBytes:       cfg.InboxBytes,
		BodiesMaxBytes: cfg.BodiesBytes, Logger: tel.Logger, Propagator: tel.Propagator(), NewID: uuid.NewString,
	})
	host.Health.Add(
		httpkit.Check{Name: "noetl", Probe: server.Probe, Address: server.Address()},
		httpkit.Check{
			Name: natskit.StorageCheck, Probe: inbox.Storage().Probe, Behind: []string{natskit.DependencyName},
		},
		httpkit.Check{Name: "inbox", Probe: inbox.Ready, Behind: []string{natskit.DependencyName}},
	)
	tell := run.Func("room in NATS", func(ctx context.Context) error {
		return natskit.TellRoom(ctx, host.NATS, js, int64(cfg.Process.NATS.Replicas)*inbox.Total(),
			"INGRESS_INBOX_MAX_BYTES, INGRESS_BODIES_MAX_BYTES, GATEWAY_STORE_MAX_BYTES", tel.Logger)
	})
	replica := uuid.NewString()
	svc := ingress.New(ingress.Deps{
		Reserved:   cfg.Playbooks.Reserved(),
		Listeners:  listeners,
		Dispatcher: server,
		Observer:   prom.New(tel.Registry),
		Logger:     tel.Logger,
		NewID:      uuid.NewString,
		Auditor:    auditor,
		Tokens:     tokens,

		Certificates: webhook.NewCertificates(senders.Certificate),
		Confirmer:    senders,

		Inbox:      inbox,
		Records:    inbox,
		Queues:     inbox,
		Controls:   inbox,
		Announcer:  inbox,
		Rejections: inbox,
		Settings:   domainSettings(cfg, replica),
		TraceID:    telemetry.TraceID,
		Around: func(
			next func(context.Context, ingress.Work) (struct{}, error),
		) func(context.Context, ingress.Work) (struct{}, error) {
			return kit.Bind(observer, "ingress.dispatch", kit.Limits{}, next)
		},
		PerListener: kit.NewRates(cfg.RatePerMin, cfg.RatePerMin/10).Count(refusals, "listener"),
		Failures:    kit.NewRates(cfg.FailPerMin, cfg.FailPerMin/10).Count(refusals, "failed_delivery"),
	})
	a.components = append(a.components, auditor, tell,
		run.Func("rejected deliveries", inbox.Keeping),
		run.Every("room in the inbox", sweepEvery, func(ctx context.Context) { inbox.MakeRoom(ctx, cfg.ClaimTTL) }),
		run.Func("listeners' controls", svc.Follow),
		run.Func("outcomes of deliveries", func(ctx context.Context) error {
			return inbox.Hear(ctx, replica, svc.Told)
		}),
		run.Every("ages of deliveries", agesEvery, svc.MeasureAges),
		run.Func("dispatch of deliveries", svc.Pump),
		natskit.NewService(host.NATS, tel, "ingress", run.Version(), append(
			natsapi.Table(svc, observer), run.Operated(host, observer, "ingress")...)...).As(host.Replica))
	a.leave = run.Func("waiting senders", func(ctx context.Context) error {
		<-ctx.Done()
		svc.Leave()
		return nil
	})
	return svc, nil
}

// How often room is made in the inbox, and how often the age of what waits is measured.
const (
	sweepEvery = 10 * time.Second
	agesEvery  = 15 * time.Second
)

// attemptMax bounds one attempt to start a workflow, whatever NoETL may take elsewhere.
const attemptMax = 30 * time.Second

func domainSettings(cfg Config, replica string) ingress.Settings {
	return ingress.Settings{
		Replica: replica, Window: cfg.ClaimTTL, Retention: cfg.Retention, Patience: cfg.Patience,
		Attempt: min(cfg.NoETL.Timeout, attemptMax), Dispatches: cfg.Dispatches,
		Retry: ingress.RetryConfig{
			MinDelay: cfg.MinDelay, MaxDelay: cfg.MaxDelay, MaxAttempts: cfg.Attempts, Expire: cfg.Expire,
		},
	}
}

// Components returns the parts to run, in start order.
func (a *App) Components() []run.Component { return a.components }

// Last returns what a composition that has the public listener must stop before it: senders that wait are answered.
func (a *App) Last() run.Component { return a.leave }

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
		Name: "ingress", About: "partners' deliveries: verified, stored, dispatched", Load: Load, Serve: Run,
		Process: func(c Config) run.ProcessConfig { return c.Process },
		Check:   func(ctx context.Context, c Config, report *check.Report) { Check(ctx, c, report) },
		Build:   func(ctx context.Context, c Config, host run.Host) (run.Part, error) { return New(ctx, c, host) },
		Verbs:   []*cobra.Command{run.Group("listeners", "who may deliver", ValidateVerb())},
	}.Main(args, stdout, stderr)
}
