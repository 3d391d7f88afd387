// Package app is the edge-proxy service: its settings and its composition.
package app

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	settings "github.com/noetl/gateway/libs/config"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsauth"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natspending"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/noetlserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/config"
	"github.com/noetl/gateway/services/edge-proxy/internal/console"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
	"github.com/noetl/gateway/services/edge-proxy/internal/graphapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
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
}

// Neighbours are the other services' routes when they are in the same process. A nil one is
// reached over HTTP by its setting.
type Neighbours struct {
	Events   http.Handler // event-fanout's routes for clients
	Internal http.Handler // event-fanout's routes for workers
	Ingress  http.Handler
}

// New builds the service on a host and opens its listener. NATS may be away.
func New(ctx context.Context, cfg Config, host run.Host, near Neighbours) (*App, error) {
	tel, nc := host.Telemetry, host.NATS
	base, err := url.Parse(cfg.NoETL.BaseURL)
	if err != nil {
		return nil, err
	}

	// Adapters.
	calls := natskit.NewClient(nc, tel)
	server := noetl.New(cfg.NoETL, tel)
	session, err := sessions.New(nc, cfg.Sessions, tel)
	if err != nil {
		return nil, err
	}

	// The hexagon and its operations.
	svc := edge.New(edge.Deps{
		Auth: natsauth.New(calls), Near: session, Pending: natspending.New(calls), NoETL: noetlserver.New(server), Logger: tel.Logger, NewID: uuid.NewString,
		GatewayURL: cfg.CallbackURL, Reserved: []string{cfg.PlaybookLogin, cfg.PlaybookValidate, cfg.PlaybookAccess}, EnforceAccess: cfg.EnforceAccess == "execute", StartTimeout: cfg.NoETL.Timeout,
	})
	set := endpoints.New(svc, kit.Observer{Logger: tel.Logger, Tracer: tel.Tracer(), Duration: kit.NewDuration(tel.Registry, "edge-proxy")}, cfg.NoETL.Timeout)

	// Routes.
	doors := &httpapi.Doors{Set: set, Sessions: session, MaxBody: cfg.MaxBody}
	mux := http.NewServeMux()
	host.Health.Register(mux)
	doors.Auth(mux)
	doors.GraphQL(mux, graphapi.Handler(set, httpapi.CallerOf, run.Version()))
	events, err := neighbour(near.Events, cfg.EventsURL, "event-fanout", host)
	if err != nil {
		return nil, err
	}
	ingress, err := neighbour(near.Ingress, cfg.IngressURL, "ingress", host)
	if err != nil {
		return nil, err
	}
	mux.Handle("/ingress/", ingress)
	if cfg.ExposeInternal {
		internal, err := neighbour(near.Internal, cfg.CallbackURL, "event-fanout", host)
		if err != nil {
			return nil, err
		}
		mux.Handle("POST /api/internal/", internal)
	}
	if cfg.Console {
		page := console.Config{Version: run.Version(), Sandbox: cfg.ConsoleIsSandbox, Issuer: cfg.ConsoleIssuer, ClientID: cfg.ConsoleClientID}
		if cfg.ConsoleIsSandbox {
			page.Webhook = &console.Webhook{Listener: "orders", Header: "X-Signature", Secret: "sandbox-secret"}
		}
		if err := console.Register(mux, page); err != nil {
			return nil, err
		}
	}
	proxyConfig := httpapi.ProxyConfig{Base: base, MaxBody: cfg.MaxBody, Logger: tel.Logger, Transport: noetl.Transport(tel, noetl.WithHeaderTimeout(cfg.ProxyTimeout))}
	proxyConfig.Access = svc
	proxy := httpapi.NewProxy(proxyConfig)
	public := httpapi.CORS(httpapi.CORSConfig{Origins: cfg.WebOrigins(), Credentials: cfg.CORSCredentials}, httpapi.Public(httpkit.Routes(mux), doors.Protect(proxy)))

	// The door.
	ln, err := httpkit.Listen(ctx, cfg.Bind, cfg.Port, "ROUTER_PORT")
	if err != nil {
		return nil, err
	}
	closing, closeStreams := context.WithCancel(context.WithoutCancel(ctx))
	mux.Handle("GET /events", httpapi.EndWith(closing, events))
	host.Health.Add(httpkit.Check{Name: "noetl", Probe: server.Probe}, httpkit.Check{Name: "auth", Probe: natskit.ProbeService(nc, "auth")})
	return &App{
		components: []run.Component{session, httpkit.NewServer("public listener", ln, httpkit.Edge(tel, "public", public), tel.Logger, closeStreams)},
		ready:      run.Ready{Public: httpkit.URL(ln), NoETL: cfg.NoETL.BaseURL},
	}, nil
}

// neighbour returns the routes of another service: in this process, or over HTTP.
func neighbour(near http.Handler, address, service string, host run.Host) (http.Handler, error) {
	if near != nil {
		return near, nil
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	host.Health.Add(httpkit.Check{Name: service, Probe: httpkit.ProbeURL(base.JoinPath("/healthz").String(), service)})
	return httpapi.Forward(base, noetl.Transport(host.Telemetry), service, host.Telemetry.Logger), nil
}

// Components returns the parts to run, in start order.
func (a *App) Components() []run.Component { return a.components }

// Ready returns the addresses that the service has.
func (a *App) Ready() run.Ready { return a.ready }

// Run is the life of the split process.
func Run(ctx context.Context, cfg Config, stdout io.Writer) error {
	return run.Serve(ctx, "edge-proxy", cfg.Process, stdout, func(ctx context.Context, host run.Host) (run.Part, error) {
		return New(ctx, cfg, host, Neighbours{})
	})
}

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name: "edge-proxy", Load: Load, Serve: Run,
		Process: func(c Config) run.ProcessConfig { return c.Process },
	}.Main(args, stdout, stderr)
}
