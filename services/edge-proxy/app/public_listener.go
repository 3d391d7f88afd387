package app

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/httpkit/relay"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/console"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/graphiql"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/browserlogin"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/mcpserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operatorpage"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
	"github.com/noetl/gateway/services/edge-proxy/internal/sdk"
)

// certificatePart is what the certificate is called when it is reloaded.
const certificatePart = "TLS certificate"

// public is what the listeners are built on.
type public struct {
	svc      *edge.Service
	session  *sessions.Client
	observer kit.Observer
	refusals *prometheus.CounterVec
	activity *edge.Activity
	address  string       // of the public listener
	mcp      *mcpParts    // nil where playbooks are no tools
	streams  *relay.Relay // of open streams, nil where they keep their handlers
}

// listen opens the public listener, and the operators' if they have one of their own.
func (a *App) listen(ctx context.Context, cfg Config, host run.Host, near Neighbours, p public) error {
	proxies, err := httpkit.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return err
	}
	tlsConfig, readAgain, err := cfg.TLS.Keep(host.Telemetry.Logger, func(err error) {
		host.Reload.Note(certificatePart, err)
	})
	if err != nil {
		return err
	}
	if tlsConfig != nil {
		host.Reload.Add(certificatePart, readAgain)
	}
	closing, closeStreams := context.WithCancel(context.WithoutCancel(ctx))
	if p.streams = relayed(ctx, near, host.Telemetry); p.streams != nil {
		context.AfterFunc(closing, p.streams.End)
		a.components = append(a.components, p.streams)
	}
	ln, err := httpkit.Listen(ctx, cfg.Bind, cfg.Port, "ROUTER_PORT")
	if err != nil {
		closeStreams()
		return err
	}
	address := httpkit.URL
	if tlsConfig != nil {
		address = httpkit.SecureURL
	}
	p.address = address(ln)
	api := p.api(cfg, host)
	routes, drainSockets, err := p.routes(ctx, closing, cfg, host, near, api)
	if err != nil {
		closeStreams()
		_ = ln.Close()
		return err
	}
	around := func(routes http.Handler) http.Handler {
		return host.Access.Wrap(host.Telemetry.Service, proxies,
			httpkit.Edge(host.Telemetry, cfg.TLS.Strict(host.Health.Retire(proxies.Wrap(routes)))))
	}
	stop := func() {
		closeStreams()
		drainSockets()
	}
	listener := httpkit.NewServer("public listener", ln, around(routes), host.Telemetry.Logger, stop).
		WithTLS(tlsConfig)
	sockets := run.Func("GraphQL sockets", func(ctx context.Context) error {
		<-ctx.Done()
		drainSockets()
		return nil
	})
	a.components = append(a.components, sockets, listener.Within(host.Bounds, proxies))
	a.ready = run.Ready{Public: p.address, NoETL: cfg.NoETL.BaseURL}
	if !cfg.Operator.Separate() {
		return nil
	}
	operators, err := p.operatorRoutes(closing, cfg, host, api)
	if err != nil {
		closeStreams()
		_ = ln.Close()
		return err
	}
	opln, err := httpkit.Listen(ctx, cfg.Operator.Bind, cfg.Operator.Port, "GATEWAY_OPERATOR_PORT")
	if err != nil {
		closeStreams()
		_ = ln.Close()
		return err
	}
	a.components = append(a.components,
		httpkit.NewServer("operators' listener", opln, around(operators), host.Telemetry.Logger, closeStreams).
			WithTLS(tlsConfig).Within(host.Bounds, proxies))
	a.ready.Operator = address(opln)
	return nil
}

// routes are those of the public listener. Streams end with closing, GraphQL's sockets when they are drained.
func (p public) routes(
	ctx, closing context.Context, cfg Config, host run.Host, near Neighbours, api *httpapi.API,
) (routes http.Handler, drainSockets func(), err error) {
	mux := http.NewServeMux()
	host.Health.Register(mux)
	api.Register(mux)
	api.RegisterMe(mux)
	if err := sdk.Register(mux); err != nil {
		return nil, nil, err
	}
	httpkit.Icon(mux)
	origins := weborigin.New(
		cfg.Web, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	)
	surface := browserlogin.Surface{AllowReturn: origins.AllowReturn}
	if cfg.Console {
		surface.Home = "/"
	}
	browserlogin.Register(mux, api, surface)
	mux.Handle("GET /api/runtime/contract", httpapi.RuntimeContract(run.Version(), httpapi.Auth0(cfg.Auth0)))
	mux.Handle("GET /sharding/preview", httpapi.ShardPreview())
	if err := p.forwardToNeighbours(closing, mux, cfg, host, near, api); err != nil {
		return nil, nil, err
	}
	if err := consolePage(mux, cfg); err != nil {
		return nil, nil, err
	}
	toNoETL, err := p.proxy(closing, cfg, host, api)
	if err != nil {
		return nil, nil, err
	}
	if !cfg.Operator.Separate() {
		if err := p.operator(closing, mux, host, api, origins); err != nil {
			return nil, nil, err
		}
	}
	if err := p.mcp.register(closing, mux, cfg, host, p, api, origins); err != nil {
		return nil, nil, err
	}
	drainSockets = p.graphQL(ctx, mux, cfg, host, api, toNoETL, origins)
	known := httpkit.Routes(mux)
	browsers := origins.Wrap(p.perAddress(cfg, httpapi.Public(known, toNoETL)))
	return httpapi.Senders(known, mcpserver.WithoutCookies(browsers)), drainSockets, nil
}

func (p public) perAddress(cfg Config, next http.Handler) http.Handler {
	return httpapi.PerAddress(kit.NewRates(cfg.RateAddress, cfg.RateAddress/10).Count(p.refusals, "address"), next)
}

// api makes what says who calls.
func (p public) api(cfg Config, host run.Host) *httpapi.API {
	return httpapi.New(httpapi.Config{
		Service:    p.svc,
		Observer:   p.observer,
		Sessions:   p.session,
		PerSession: kit.NewRates(cfg.RateSession, cfg.RateSession/10).Count(p.refusals, "session"),
		Logins:     kit.NewRates(cfg.RateLogin, cfg.RateLogin/2).Count(p.refusals, "login"),
		AuthCalls:  kit.NewRates(cfg.RateAuth, cfg.RateAuth/10).Count(p.refusals, "auth"),
		Logger:     host.Telemetry.Logger,
	})
}

// proxy makes the handler of /noetl/*.
func (p public) proxy(closing context.Context, cfg Config, host run.Host, api *httpapi.API) (*proxy.Proxy, error) {
	base, err := url.Parse(cfg.NoETL.BaseURL)
	if err != nil {
		return nil, err
	}
	shards, hosts := cfg.NoETL.ShardMap(), []string{base.Host}
	for _, s := range shards {
		hosts = append(hosts, s.Host)
	}
	transport := noetl.ProxyTransport(host.Telemetry, noetl.WithHeaderTimeout(cfg.ProxyTimeout))
	return proxy.New(proxy.Config{
		Base:      base,
		Shards:    shards,
		MaxBody:   cfg.MaxBody,
		Logger:    host.Telemetry.Logger,
		Identify:  api.Identify,
		Live:      p.session,
		Authority: p.svc,
		Public:    cfg.Web.Public(),
		Idle:      cfg.ProxyTimeout,
		Closing:   closing,
		Transport: proxy.NewUpstream(transport, hosts...),
	}), nil
}

// socketDrain is how long GraphQL's sockets may take to end when the process stops. It runs beside
// the drain of the listener, which knows nothing of connections that were upgraded.
const socketDrain = 6 * time.Second

// graphQL adds the routes of /graphql. drain ends its sockets; a second call waits for what the first has begun.
func (p public) graphQL(
	ctx context.Context, mux *http.ServeMux, cfg Config, host run.Host, api *httpapi.API, toNoETL *proxy.Proxy,
	origins *weborigin.Rules,
) (drain func()) {
	graph := graphql.New(graphql.Deps{
		Service:      p.svc,
		Observer:     p.observer,
		StartTimeout: cfg.NoETL.Timeout,
		Caller:       api.CallerOf,
		Subscribe:    p.svc.Subscribe,
		Watch:        p.svc.Watch,
		Proxy:        toNoETL.Request,
		Count:        api.Count,
		Answers:      graphql.NewAnswers(cfg.AnswerBytes),
		MaxBody:      cfg.MaxBody,
		Version:      run.Version(),
		Logger:       host.Telemetry.Logger,
		WebSocket:    graphql.WebSocket{AllowOrigin: origins.AllowWebSocket, Authenticate: api.Authenticate},
	})
	graph.Register(mux, graphiql.Page(mux), api.Protect, httpapi.WithToken)
	return func() {
		dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), socketDrain)
		defer cancel()
		graph.Drain(dctx)
	}
}

// forwardToNeighbours adds the routes of the other services; their streams end with closing. Each request that is
// forwarded has a context of its own.
func (p public) forwardToNeighbours(
	closing context.Context, mux *http.ServeMux, cfg Config, host run.Host, near Neighbours, api *httpapi.API,
) error {
	//nolint:contextcheck // see above
	events, err := neighbour(near.Events, cfg.EventsURL, "event-fanout", cfg, host, p.streams)
	if err != nil {
		return err
	}
	events = proxy.EndWith(closing, events)
	for _, route := range []string{"/events", "POST /events/ticket", "/ws", "GET /api/results/{request_id}"} {
		mux.Handle(route, events)
	}
	api.RegisterSubscriptions(mux, events)
	//nolint:contextcheck // see above
	ingress, err := neighbour(near.Ingress, cfg.IngressURL, "ingress", cfg, host, nil)
	if err != nil {
		return err
	}
	mux.Handle("/ingress/", ingress)
	if !cfg.ExposeInternal {
		return nil
	}
	if near.Internal == nil && cfg.Web.PublicURL != "" &&
		strings.HasPrefix(cfg.CallbackURL+"/", strings.TrimRight(cfg.Web.PublicURL, "/")+"/") {
		return errors.New("GATEWAY_CALLBACK_URL is this gateway's own GATEWAY_PUBLIC_URL: with " +
			"GATEWAY_EXPOSE_INTERNAL it would forward callbacks to itself; set it to event-fanout's internal listener")
	}
	//nolint:contextcheck // see above
	internal, err := neighbour(near.Internal, cfg.CallbackURL, "event-fanout", cfg, host, nil)
	if err != nil {
		return err
	}
	mux.Handle("POST /api/internal/", internal)
	return nil
}

// consolePage adds the demonstration page, if it is switched on.
func consolePage(mux *http.ServeMux, cfg Config) error {
	if !cfg.Console {
		return nil
	}
	page := console.Config{
		Version: run.Version(),
		Sandbox: cfg.Authority.ConsoleIsSandbox,
	}
	if cfg.Authority.ConsoleIsSandbox {
		page.Webhook = &console.Webhook{
			Playbook: "demo/webhook", Listener: "orders", Header: "X-Signature", Secret: "sandbox-secret",
		}
	}
	if !cfg.Operator.Separate() {
		page.Operator = operatorpage.Prefix
	}
	return console.Register(mux, page)
}
