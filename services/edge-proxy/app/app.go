// Package app is the edge-proxy service: its settings and its composition.
package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsauth"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natspending"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/nearmemory"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/noetlserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/config"
	"github.com/noetl/gateway/services/edge-proxy/internal/console"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
	"github.com/noetl/gateway/services/edge-proxy/internal/graphapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/graphiql"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/natsapi"
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

	proxies, err := httpkit.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.TLS.Load(tel.Logger)
	if err != nil {
		return nil, err
	}

	table, err := tableOf(cfg.Authority)
	if err != nil {
		return nil, err
	}
	tel.Logger.InfoContext(
		ctx, "table of NoETL's routes", "source", table.Source, "routes", len(table.Rules()), "mode",
		cfg.Authority.RoutesMode, "enforce_access", cfg.Authority.EnforceAccess, "operator_roles",
		cfg.Authority.OperatorRoles,
	)

	// Adapters.
	calls := natskit.NewClient(nc, tel)
	server := noetl.New(cfg.NoETL, tel)
	session, err := sessions.New(nc, cfg.Sessions, tel)
	if err != nil {
		return nil, err
	}

	upstream := noetlserver.New(server)
	frames, local, err := frames(near.Events, cfg.EventsURL, tel)
	if err != nil {
		return nil, err
	}

	// The hexagon and its operations.
	svc := edge.New(edge.Deps{
		Auth: natsauth.New(
			calls,
		),
		Near:          session,
		Pending:       natspending.New(calls),
		NoETL:         upstream,
		Catalog:       upstream,
		Executions:    upstream,
		Frames:        frames,
		Origins:       nearmemory.NewOrigins(),
		Logger:        tel.Logger,
		NewID:         uuid.NewString,
		GatewayURL:    cfg.CallbackURL,
		Table:         table,
		OnlyLogRoutes: cfg.Authority.RoutesMode == "log",
		Reserved:      cfg.Authority.Playbooks.Reserved(),
		Enforce:       edge.Enforcement(cfg.Authority.EnforceAccess),
		StartTimeout:  cfg.NoETL.Timeout,
	})
	set := endpoints.New(
		svc,
		kit.Observer{Logger: tel.Logger, Tracer: tel.Tracer(), Duration: kit.NewDuration(tel.Registry, "edge-proxy")},
		cfg.NoETL.Timeout,
	)

	refusals, err := kit.NewRefusals(tel.Registry)
	if err != nil {
		return nil, err
	}

	// Routes.
	doors := &httpapi.Doors{
		Set:        set,
		Sessions:   session,
		MaxBody:    cfg.MaxBody,
		PerSession: kit.NewRates(cfg.RateSession, cfg.RateSession/10).Count(refusals, "session"),
		Logger:     tel.Logger,
		Logins: kit.NewRates(cfg.RateLogin, cfg.RateLogin/2).
			Count(refusals, "login"),
		AuthCalls: kit.NewRates(cfg.RateAuth, cfg.RateAuth/10).Count(refusals, "auth"),
	}
	mux := http.NewServeMux()
	host.Health.Register(mux)
	doors.Auth(mux)
	doors.Browser(mux)
	mux.Handle("GET /api/runtime/contract", httpapi.RuntimeContract(run.Version(), httpapi.Auth0(cfg.Auth0)))
	mux.Handle("GET /sharding/preview", httpapi.ShardPreview())
	streams := relayed(ctx, near, tel)
	//nolint:contextcheck // each request has its own
	events, err := neighbour(near.Events, cfg.EventsURL, "event-fanout", cfg, host, streams)
	if err != nil {
		return nil, err
	}
	ingress, err := neighbour(near.Ingress, cfg.IngressURL, "ingress", cfg, host, nil) //nolint:contextcheck // likewise
	if err != nil {
		return nil, err
	}
	mux.Handle("/ingress/", ingress)
	if cfg.ExposeInternal {
		if near.Internal == nil && cfg.Web.PublicURL != "" &&
			strings.HasPrefix(cfg.CallbackURL+"/", strings.TrimRight(cfg.Web.PublicURL, "/")+"/") {
			return nil, errors.New(
				"GATEWAY_CALLBACK_URL is this gateway's own GATEWAY_PUBLIC_URL: with GATEWAY_EXPOSE_INTERNAL it would forward callbacks to itself; set it to event-fanout's internal listener",
			)
		}
		//nolint:contextcheck // each request has its own
		internal, err := neighbour(near.Internal, cfg.CallbackURL, "event-fanout", cfg, host, nil)
		if err != nil {
			return nil, err
		}
		mux.Handle("POST /api/internal/", internal)
	}
	if cfg.Console {
		page := console.Config{
			Version:  run.Version(),
			Sandbox:  cfg.Authority.ConsoleIsSandbox,
			Issuer:   cfg.ConsoleIssuer,
			ClientID: cfg.ConsoleClientID,
		}
		if cfg.Authority.ConsoleIsSandbox {
			page.Webhook = &console.Webhook{Listener: "orders", Header: "X-Signature", Secret: "sandbox-secret"}
		}
		if err := console.Register(mux, page); err != nil {
			return nil, err
		}
	}
	// The door.
	ln, err := httpkit.Listen(ctx, cfg.Bind, cfg.Port, "ROUTER_PORT")
	if err != nil {
		return nil, err
	}
	shards := cfg.NoETL.ShardMap()
	hosts := []string{base.Host}
	for _, s := range shards {
		hosts = append(hosts, s.Host)
	}
	closing, closeStreams := context.WithCancel(context.WithoutCancel(ctx))
	if streams != nil {
		context.AfterFunc(closing, streams.End)
		local = append(local, streams)
	}
	origins := weborigin.New(
		cfg.Web, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	)
	proxy := httpapi.NewProxy(httpapi.ProxyConfig{
		Base:      base,
		Shards:    shards,
		MaxBody:   cfg.MaxBody,
		Logger:    tel.Logger,
		Identify:  doors.Identify,
		Live:      session,
		Authority: svc,
		Public:    cfg.Web.Public(),
		Idle:      cfg.ProxyTimeout,
		Closing:   closing,
		Transport: httpapi.NewUpstream(noetl.ProxyTransport(tel, noetl.WithHeaderTimeout(cfg.ProxyTimeout)), hosts...),
	})
	graph := graphapi.New(graphapi.Deps{
		Set: set, Caller: doors.CallerOf, Subscribe: svc.Subscribe, Proxy: proxy.Request,
		Count: doors.Count, Answers: graphapi.NewAnswers(cfg.AnswerBytes),
		Version: run.Version(), Logger: tel.Logger,
		WebSocket: graphapi.WebSocket{AllowOrigin: origins.AllowWebSocket, Authenticate: doors.Authenticate},
	})
	drainSockets := func() { // a second call waits for what the first has begun
		dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), socketDrain)
		defer cancel()
		graph.Drain(dctx)
	}
	doors.GraphQL(mux, graph, graphiql.Page(mux))
	public := origins.Wrap(
		httpapi.PerAddress(
			kit.NewRates(cfg.RateAddress, cfg.RateAddress/10).Count(refusals, "address"),
			httpapi.Public(httpkit.Routes(mux), proxy),
		),
	)

	events = httpapi.EndWith(closing, events)
	for _, route := range []string{"/events", "POST /events/ticket", "/ws", "GET /api/results/{request_id}"} {
		mux.Handle(route, events)
	}
	host.Health.Add(
		httpkit.Check{Name: "noetl", Probe: server.Probe},
		httpkit.Check{Name: "auth", Probe: natskit.ProbeService(nc, "auth")},
	)
	stop := func() {
		closeStreams()
		drainSockets()
	}
	sockets := run.Func("GraphQL sockets", func(ctx context.Context) error {
		<-ctx.Done()
		drainSockets()
		return nil
	})
	handler := httpkit.Edge(tel, cfg.TLS.Strict(host.Health.Retire(proxies.Wrap(public))))
	listener := httpkit.NewServer("public listener", ln, handler, tel.Logger, stop).WithTLS(tlsConfig)
	listener.Within(host.Bounds, proxies)
	commands := natskit.NewService(nc, tel, "edge-proxy", run.Version(), natsapi.Endpoints(set, session)...)
	address := httpkit.URL(ln)
	if tlsConfig != nil {
		address = httpkit.SecureURL(ln)
	}
	return &App{
		components: append(local, session, commands, sockets, listener),
		ready:      run.Ready{Public: address, NoETL: cfg.NoETL.BaseURL},
	}, nil
}

// socketDrain is how long GraphQL's sockets may take to end when the process stops. It runs beside
// the drain of the listener, which knows nothing of connections that were upgraded.
const socketDrain = 6 * time.Second

// Components returns the parts to run, in start order.
func (a *App) Components() []run.Component { return a.components }

// Ready returns the addresses that the service has.
func (a *App) Ready() run.Ready { return a.ready }

// Run is the life of the split process.
func Run(ctx context.Context, cfg Config, stdout io.Writer) error {
	return run.Serve(
		ctx,
		"edge-proxy",
		cfg.Process,
		stdout,
		func(ctx context.Context, host run.Host) (run.Part, error) {
			return New(ctx, cfg, host, Neighbours{})
		},
	)
}

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name:    "edge-proxy",
		Load:    Load,
		Serve:   Run,
		Process: func(c Config) run.ProcessConfig { return c.Process },
		Tools:   map[string]run.Tool{"routes": RoutesTool()},
	}.Main(args, stdout, stderr)
}
