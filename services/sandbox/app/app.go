// Package app composes the sandbox: a NoETL look-alike and an OIDC issuer for development
// and tests.
package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/callback"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/clientdocument"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/directory"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/feedlog"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/natskv"
	"github.com/noetl/gateway/services/sandbox/internal/config"
	"github.com/noetl/gateway/services/sandbox/internal/httpapi"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// Config holds the settings.
type Config = config.Config

// Load reads the settings from an environment as os.Environ returns it; defaults are those of
// a composition that knows better than the tags.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	return config.Load(environ, defaults...)
}

// App is a sandbox with an open listener.
type App struct {
	components []run.Component
	ready      run.Ready
	feed       string
}

// New opens the listener and builds everything behind it. It does not need NATS to be there. In a generation without
// NATS it uses a connection for the documents of demo/board only, where the host has one.
func New(ctx context.Context, cfg Config, host run.Host) (*App, error) {
	app, tel := &App{}, host.Telemetry
	deps := sandbox.Deps{
		Generation: sandbox.Generation(cfg.Generation), Lag: cfg.EventLag, Logger: tel.Logger,
		Directory: sandbox.NewDirectory(), Conformance: cfg.Conformance,
	}
	deps.Callbacks = callback.New(
		callback.Config{Generation: deps.Generation, Hosts: cfg.CallbackHosts, Token: cfg.CallbackToken}, tel,
	)
	if host.NATS != nil {
		js, err := jetstream.New(host.NATS)
		if err != nil {
			return nil, fmt.Errorf("sandbox: JetStream: %w", err)
		}
		deps.Documents = natskv.NewDocuments(js, cfg.Process.NATS.Replicas)
	}
	feed, err := app.events(cfg, host, &deps)
	if err != nil {
		return nil, err
	}
	service := sandbox.New(deps)
	app.components = append(app.components, service)
	return app, app.listen(ctx, cfg, host, httpapi.Deps{
		Generation: deps.Generation, Rerun: cfg.Rerun, Service: service, Observer: kit.NewObserver(tel, "sandbox"),
		Feed: feed, InternalToken: cfg.InternalToken, Telemetry: tel,
	}, directory.New(deps.Directory))
}

// events adds where lifecycle events and sessions go: to NATS, or in a generation without it into a feed, which is
// returned.
func (a *App) events(cfg Config, host run.Host, deps *sandbox.Deps) (httpapi.Feed, error) {
	if !deps.Generation.HasNATS() {
		log := feedlog.New()
		deps.Events = log
		return log, nil
	}
	js, err := jetstream.New(host.NATS)
	if err != nil {
		return nil, fmt.Errorf("sandbox: JetStream: %w", err)
	}
	publisher := natsevents.New(js, eventStream(cfg), host.Telemetry)
	a.components = append(a.components, publisher)
	deps.Events = publisher
	deps.Sessions = natskv.New(js, cfg.SessionBucket, cfg.SessionTTL, cfg.Process.NATS.Room(host.Telemetry.Logger))
	return nil, nil // this generation has no feed
}

// listen opens the one listener, with NoETL's API and the issuer.
func (a *App) listen(ctx context.Context, cfg Config, host run.Host, api httpapi.Deps, accounts issuer.Accounts) error {
	ln, err := httpkit.Listen(ctx, cfg.Bind, cfg.Port, "SANDBOX_PORT")
	if err != nil {
		return err
	}
	if api.Feed != nil {
		a.feed = strings.TrimPrefix(httpkit.URL(ln), "http://")
	}
	port := cfg.Port
	if at, ok := ln.Addr().(*net.TCPAddr); ok {
		port = at.Port
	}
	base, issuerURL := addresses(cfg, httpkit.URL(ln), port)
	if api.Issuer, err = issuer.New(issuerConfig(issuerURL, cfg), accounts); err != nil {
		_ = ln.Close()
		return fmt.Errorf("sandbox: signing key: %w", err)
	}
	closing := make(chan struct{})
	api.Closing = closing
	stop := sync.OnceFunc(func() { close(closing) })
	server := httpkit.NewServer("sandbox listener", ln, httpapi.New(api), host.Telemetry.Logger, stop)
	a.components = append(a.components, server.Within(host.Bounds, nil))
	a.ready = run.Ready{NoETL: base, Issuer: issuerURL}
	return nil
}

// issuerConfig says what the issuer accepts.
func issuerConfig(url string, cfg Config) issuer.Config {
	c := issuer.Config{URL: url, Redirects: cfg.RedirectURIs}
	if cfg.ClientDocuments {
		c.Documents = clientdocument.New()
	}
	return c
}

// eventStream is where events go: as the settings say, or else as servers of the generation do.
func eventStream(cfg Config) natsevents.Config {
	c := natsevents.Config{
		Generation: sandbox.Generation(cfg.Generation), Stream: cfg.EventStream, Prefix: cfg.EventSubjects,
		Replicas: cfg.Process.NATS.Replicas,
	}
	if c.Stream == "" {
		c.Stream = natsevents.DefaultStream(c.Generation)
	}
	return c
}

// addresses returns the base URL and the issuer's. The issuer is localhost, not 127.0.0.1:
// that is what people type and what the gateway's settings name.
func addresses(cfg Config, listener string, port int) (base, issuerURL string) {
	base = strings.TrimRight(cfg.PublicURL, "/")
	if cfg.Issuer != "" {
		issuerURL = cfg.Issuer
	} else if base != "" {
		issuerURL = base + "/oidc"
	}
	if base == "" {
		base = listener
	}
	if issuerURL == "" {
		issuerURL = "http://localhost:" + strconv.Itoa(port) + "/oidc"
	}
	return base, issuerURL
}

// Addresses returns the base URL of a sandbox with a fixed port that does not run yet, and its issuer's.
func Addresses(cfg Config) (base, issuer string) {
	host := cfg.Bind
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return addresses(cfg, "http://"+net.JoinHostPort(host, strconv.Itoa(cfg.Port)), cfg.Port)
}

// Components returns what runs, in start order.
func (a *App) Components() []run.Component { return a.components }

// FeedAddress returns host:port of the event feed as seen from this machine, "" in a generation without one.
func (a *App) FeedAddress() string { return a.feed }

// Ready returns the addresses that this service has.
func (a *App) Ready() run.Ready { return a.ready }

// Run is the life of the sandbox as a process of its own.
func Run(ctx context.Context, cfg Config, stdout io.Writer) error {
	if !sandbox.Generation(cfg.Generation).HasNATS() {
		cfg.Process.NATS.URL = ""
	}
	return run.ServeOptional(
		ctx,
		"sandbox",
		cfg.Process,
		stdout,
		func(ctx context.Context, host run.Host) (run.Part, error) { return New(ctx, cfg, host) },
	)
}

// Check names the port that a start opens.
func Check(_ context.Context, cfg Config, report *check.Report) {
	report.Listens("SANDBOX_PORT", cfg.Bind, cfg.Port)
}

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name: "sandbox", About: "a NoETL look-alike and an OIDC issuer, for development and tests",
		Load: Load, Process: func(c Config) run.ProcessConfig { return c.Process }, Serve: Run, Check: Check,
		Build:       func(ctx context.Context, c Config, host run.Host) (run.Part, error) { return New(ctx, c, host) },
		WithoutNATS: func(c Config) bool { return !sandbox.Generation(c.Generation).HasNATS() },
	}.Main(args, stdout, stderr)
}
