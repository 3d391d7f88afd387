// Package app is the event-fanout service: its settings and its composition.
package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/eventfeed"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsedge"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natskv"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natslifecycle"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsobjects"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsrelay"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/prom"
	"github.com/noetl/gateway/services/event-fanout/internal/config"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
	"github.com/noetl/gateway/services/event-fanout/internal/natsapi"
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
	tel, nc, room := host.Telemetry, host.NATS, cfg.Process.NATS.Room(host.Telemetry.Logger)
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}

	warnOpen(ctx, tel.Logger, cfg)

	// Adapters.
	frames, err := natsframes.New(
		nc,
		natsframes.Config{
			TTL:          cfg.FrameTTL,
			MaxBytes:     cfg.FrameMaxBytes,
			MaxPerClient: cfg.FramePerClient,
			Replicas:     cfg.Process.NATS.Replicas,
			Shards:       cfg.FrameShards,
		},
		natskv.Agreed(js, room),
		tel,
	)
	if err != nil {
		return nil, err
	}
	feed := natsframes.NewLiveFeed(nc)
	clients := natskv.NewClientStore(js, room)
	routes := natskv.NewRoutes(js, cfg.RequestTTL, room)
	lifecycle, err := natslifecycle.New(
		nc,
		natslifecycle.Config{TTL: cfg.LifecycleTTL, MaxBytes: cfg.LifecycleBytes, Replicas: cfg.Process.NATS.Replicas},
		tel,
	)
	if err != nil {
		return nil, err
	}
	results := natsobjects.New(
		js,
		natsobjects.Config{TTL: cfg.RequestTTL, MaxBytes: cfg.ResultsBytes, Replicas: cfg.Process.NATS.Replicas},
		uuid.NewString,
	)
	settler := natsrelay.NewSettler(nc)
	session, err := sessions.New(nc, cfg.Sessions, tel)
	if err != nil {
		return nil, err
	}

	// The domain and its operations.
	svc := fanout.New(fanout.Deps{
		Frames:  frames,
		Feed:    feed,
		Clients: clients,
		Requests: natskv.NewRequestStore(js, cfg.RequestBucket,
			cfg.RequestTTL, room),
		Results:  results,
		Tickets:  natskv.NewTicketStore(js, room),
		Commands: natsedge.New(nc, tel),
		Routes: natskv.RouteIndex{
			Routes: routes,
		},
		Pending:   natskv.PendingIndex{Routes: routes},
		Lifecycle: lifecycle,
		Settler:   settler,
		Relay:     natsrelay.New(nc, tel),
		Logger:    tel.Logger,
		NewID:     uuid.NewString,
		Now:       time.Now,
		Forwarded: cfg.Forwarded,
		Version:   run.Version(),
	})
	intakes, err := intakes(cfg, js, svc, settler, tel)
	if err != nil {
		return nil, err
	}
	lifecycle.Alone(func() (time.Time, bool) { return heldAll(intakes) })
	hub := fanout.NewHub(ctx, fanout.HubConfig{
		Heartbeat:         cfg.Heartbeat,
		QueueFrames:       cfg.QueueFrames,
		QueueBytes:        cfg.QueueBytes,
		MaxStreams:        cfg.MaxStreams,
		StreamsPerUser:    cfg.PerUser,
		StreamsPerSession: cfg.PerSession,
		StreamsPerAddress: cfg.PerAddress,
		Recheck:           cfg.SessionRecheck,
	}, frames, feed, clients, session, tel.Logger)
	session.OnRevoked(hub.EndSession)
	observer := kit.NewObserver(tel, "event-fanout")
	set := httpapi.Bind(svc, observer)
	undelivered := prometheus.NewCounter(
		prometheus.CounterOpts{
			Name: "noetl_gateway_callback_undelivered_total",
			Help: "Callbacks that nobody waited for.",
		},
	)
	open := prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "noetl_gateway_streams", Help: "Open event streams."},
		func() float64 { return float64(hub.Streams()) },
	)
	tel.Registry.MustRegister(undelivered, open)

	// Listeners.
	a := &App{}
	publicMux := http.NewServeMux()
	host.Health.Register(publicMux)
	proxies, err := httpkit.ParseProxies(cfg.Proxies)
	if err != nil {
		return nil, err
	}
	refusals, err := kit.NewRefusals(tel.Registry)
	if err != nil {
		return nil, err
	}
	perAddress := &httpapi.AddressLimit{
		Opening: kit.NewRates(cfg.OpeningRate, cfg.OpeningRate/6).Count(refusals, "stream_opening"),
	}
	origins := weborigin.New(cfg.Web, http.MethodGet, http.MethodPost)
	streams := &httpapi.Events{
		Set:          set,
		Hub:          hub,
		Sessions:     session,
		AddressLimit: perAddress,
		Origins:      origins,
		WriteTimeout: cfg.WriteTimeout,
		PeerTimeout:  cfg.PeerTimeout,
	}
	if cfg.SSE {
		publicMux.Handle("/events", streams) // the mux would take HEAD for GET
	}
	sockets := httpapi.NewWebSockets(
		ctx, streams,
		httpapi.WebSocketLimits{
			MaxMessage: cfg.WSMaxMessage, PerMinute: cfg.WSRate, Silence: cfg.Silence(),
			Quiet: cfg.Silence()/2 - cfg.Heartbeat, // so that two pings are not answered before the peer counts as gone
		},
	)
	if cfg.WebSocket {
		publicMux.Handle("/ws", sockets)
	}
	publicMux.Handle(
		"POST /events/ticket",
		&httpapi.Tickets{
			Set:          set,
			Sessions:     session,
			AddressLimit: perAddress,
			Rate:         kit.NewRates(ticketsPerMinute, ticketBurst).Count(refusals, "ticket"),
		},
	)
	publicMux.Handle(
		"GET "+fanout.ResultsPath+"{request_id}",
		httpapi.NewResults(set, session, results, cfg.WriteTimeout),
	)
	a.public = proxies.Wrap(httpkit.Routes(publicMux))
	a.internal = httpkit.Edge(
		tel,
		host.Health.Retire(
			httpapi.Internal(
				set, httpapi.LargeResults{Store: results, Max: cfg.ResultMaxBytes, Message: nc.MaxPayload},
				cfg.InternalToken, undelivered,
			),
		),
	)
	internal, err := httpkit.Listen(ctx, cfg.InternalBind, cfg.InternalPort, "GATEWAY_INTERNAL_PORT")
	if err != nil {
		return nil, err
	}
	a.ready.Internal = httpkit.URL(internal)
	var public net.Listener
	if !o.embedded {
		if public, err = httpkit.Listen(ctx, cfg.Bind, cfg.Port, "GATEWAY_PORT"); err != nil {
			return nil, err
		}
		a.ready.Public = httpkit.URL(public)
	}

	consumer := natsapi.NewConsumer(lifecycle, natslifecycle.Decode, svc, observer, tel)
	host.Health.Add(
		httpkit.Check{Name: natskit.StorageCheck, Probe: clients.Storage().Probe},
		httpkit.Check{Name: "event_feed", Tell: func(ctx context.Context) (string,
			error,
		) {
			return fanout.TellSources(ctx, intakes)
		}},
		httpkit.Check{Name: "lifecycle_log", Critical: true, Probe: consumer.Probe},
		httpkit.Check{
			Name:     "frame_store",
			Critical: true,
			Probe:    func(ctx context.Context) error { _, err := frames.Epochs(ctx); return err },
		},
	)

	drain := func() { // once more is harmless: streams that were not hijacked end with the listener
		dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), streamDrain)
		defer cancel()
		hub.Drain(dctx)
	}
	a.components = []run.Component{
		session,
		run.Func("room in NATS", func(ctx context.Context) error {
			wanted := int64(
				room.Replicas,
			) * (cfg.Process.NATS.StoreBytes + cfg.FrameMaxBytes + cfg.LifecycleBytes + cfg.ResultsBytes)
			return natskit.TellRoom(
				ctx, nc, js, wanted,
				"GATEWAY_STORE_MAX_BYTES, GATEWAY_FRAME_MAX_BYTES, GATEWAY_LIFECYCLE_MAX_BYTES, "+
					"GATEWAY_RESULT_STORE_MAX_BYTES",
				tel.Logger,
			)
		}),
		run.Func("frame shards", frames.Run),
		run.Func("live feed", func(ctx context.Context) error { return feed.Run(ctx, hub.Resync) }),
		run.Func("heartbeats", hub.Run),
		run.Func("websocket messages", sockets.Run),
		run.Func("memory", func(ctx context.Context) error { return giveBack(ctx, hub.Streams, debug.FreeOSMemory) }),
		consumer,
		run.Func("finished requests", svc.Retire),
		natsapi.NewCallbacks(nc, cfg.CallbackPrefix, svc, observer, tel),
		natskit.NewService(nc, tel, "event-fanout", run.Version(), natsapi.Table(svc, observer)...),
		httpkit.NewServer("internal listener", internal, a.internal, tel.Logger, nil).Within(host.Bounds, proxies),
		run.Func("streams", func(ctx context.Context) error { <-ctx.Done(); drain(); return nil }),
	}
	for _, intake := range intakes {
		a.components = append(a.components, intake)
	}
	if public != nil {
		streams := httpkit.Edge(tel, host.Health.Retire(origins.Wrap(a.public)))
		listener := httpkit.NewServer("stream listener", public, streams, tel.Logger, drain)
		a.components = append(a.components, listener.Within(host.Bounds, proxies))
	}
	return a, nil
}

// intakes makes one intake for each source of lifecycle events: NoETL's streams, and its event feed
// where it has one.
func intakes(
	cfg Config, js jetstream.JetStream, svc *fanout.Service, settler *natsrelay.Settler, tel *telemetry.Telemetry,
) ([]*fanout.Intake, error) {
	types := fanout.Wanted(cfg.Forwarded)
	sources := []fanout.LifecycleSource{natsevents.New(js, natsevents.Config{
		Stream:    cfg.UpdatesStream,
		Prefix:    cfg.UpdatesPrefix,
		Types:     types,
		Names:     natsevents.WellKnown(),
		FirstLook: cfg.RequestTTL,
	}, tel.Logger)}
	feeds, err := cfg.Feeds()
	if err != nil {
		return nil, err
	}
	for _, f := range feeds {
		sources = append(sources, eventfeed.New(f.Address, f.Shard, types))
	}
	leases := natskv.NewLeases(js, uuid.NewString(), cfg.Process.NATS.Room(tel.Logger))
	meter := prom.NewIntake(tel.Registry)
	var list []*fanout.Intake
	for _, source := range sources {
		intake := fanout.NewIntake(fanout.IntakeDeps{
			From: source, Leases: leases, Ingest: svc.Ingest, Meter: meter, Serve: settler.Serve, Logger: tel.Logger,
		})
		settler.Ask(intake)
		list = append(list, intake)
	}
	return list, nil
}

// heldAll reports whether this process reads every source, and since when.
func heldAll(intakes []*fanout.Intake) (since time.Time, all bool) {
	for _, intake := range intakes {
		held, holding := intake.Held()
		if !holding {
			return time.Time{}, false
		}
		if held.After(since) {
			since = held
		}
	}
	return since, len(intakes) > 0
}

// Tickets that one session may ask for: a page needs one for each stream that it opens.
const (
	ticketsPerMinute = 60
	ticketBurst      = 20
)

// streamDrain is how long open streams may take to end when the process stops.
const streamDrain = 3 * time.Second

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
