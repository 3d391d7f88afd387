package app

import (
	"context"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natslifecycle"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
	"github.com/noetl/gateway/services/event-fanout/internal/natsapi"
)

// Tickets that one session may ask for: a page needs one for each stream that it opens.
const (
	ticketsPerMinute = 60
	ticketBurst      = 20
)

// Subscriptions that one session may open: a page opens some for each view.
const (
	openingsPerMinute = 120
	openingBurst      = 40
)

// streamDrain is how long open streams may take to end when the process stops.
const streamDrain = 3 * time.Second

// background returns what works without a listener of HTTP: what comes over NATS, and housekeeping.
func (f *service) background() []run.Component {
	tel, nc := f.host.Telemetry, f.host.NATS
	consumer := natsapi.NewConsumer(f.lifecycle, natslifecycle.Decode, f.domain, f.observer, tel)
	nats := []string{natskit.DependencyName}
	f.host.Health.Add(
		httpkit.Check{Name: natskit.StorageCheck, Probe: f.owners.Storage().Probe, Behind: nats},
		httpkit.Check{
			Name: "event_feed", Address: strings.Join(f.cfg.FeedAddresses, ","), Behind: nats,
			Tell: func(ctx context.Context) (string, error) { return fanout.TellSources(ctx, f.intakes) },
		},
		httpkit.Check{Name: "lifecycle_log", Critical: true, Probe: consumer.Probe, Behind: nats},
		httpkit.Check{
			Name: "frame_store", Critical: true, Behind: nats,
			Probe: func(ctx context.Context) error {
				_, err := f.frames.Epochs(ctx)
				return err
			},
		},
	)
	parts := []run.Component{
		f.sessions,
		run.Func("room in NATS", f.tellRoom),
		run.Func("frame shards", f.frames.Run),
		run.Func("live feed", func(ctx context.Context) error { return f.feed.Run(ctx, f.hub.Resync) }),
		run.Func("heartbeats", f.hub.Run),
		run.Func("memory", func(ctx context.Context) error { return giveBack(ctx, f.hub.Streams, debug.FreeOSMemory) }),
		consumer,
		run.Func("finished requests", f.domain.Retire),
		run.Func("clients of other replicas", f.here.Run),
		run.Func("subscriptions", f.subs.Run),
		natsapi.NewCallbacks(nc, f.cfg.CallbackPrefix, f.domain, f.observer, tel),
		natskit.NewService(nc, tel, "event-fanout", run.Version(), slices.Concat(
			natsapi.Table(f.domain, f.observer), natsapi.SubscriptionTable(f.subs, f.sessions, f.observer),
			natsapi.OperatorTable(f.hub, f.domain, f.subs, f.observer),
			run.Operated(f.host, f.observer, "fanout",
				run.Plot{Name: "streams", Metric: "noetl_gateway_streams"},
				run.Plot{Name: "frames", Metric: "noetl_gateway_frames_total"}),
		)...).As(f.host.Replica),
	}
	if f.watcher != nil { // subscriptions end before it does
		f.host.Health.Add(httpkit.Check{Name: "firestore_listener", Tell: f.watcher.Tell})
		parts = append([]run.Component{f.watcher}, parts...)
	}
	return parts
}

// workers is the listener of NoETL's workers.
func (f *service) workers(ctx context.Context, a *App, proxies httpkit.Proxies) error {
	tel := f.host.Telemetry
	undelivered := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "noetl_gateway_callback_undelivered_total", Help: "Callbacks that nobody waited for.",
	})
	tel.Registry.MustRegister(undelivered)
	large := httpapi.LargeResults{Store: f.results, Max: f.cfg.ResultMaxBytes, Message: f.host.NATS.MaxPayload}
	routes := httpapi.Internal(f.set, large, f.cfg.InternalToken, undelivered)
	a.internal = httpkit.Edge(tel, f.host.Health.Retire(routes))

	listener, err := httpkit.Listen(ctx, f.cfg.InternalBind, f.cfg.InternalPort, "GATEWAY_INTERNAL_PORT")
	if err != nil {
		return err
	}
	a.ready.Internal = httpkit.URL(listener)
	server := httpkit.NewServer(
		"internal listener", listener, f.host.Access.Wrap(tel.Service, proxies, a.internal), tel.Logger, nil)
	a.components = append(a.components, server.Within(f.host.Bounds, proxies))
	return nil
}

// clients is the listener of clients, unless a composition has one that mounts the routes.
func (f *service) clients(ctx context.Context, a *App, proxies httpkit.Proxies, embedded bool) error {
	cfg, tel := f.cfg, f.host.Telemetry
	refusals, err := kit.NewRefusals(tel.Registry)
	if err != nil {
		return err
	}
	perAddress := &httpapi.AddressLimit{
		Opening: kit.NewRates(cfg.OpeningRate, cfg.OpeningRate/6).Count(refusals, "stream_opening"),
	}
	origins := weborigin.New(cfg.Web, http.MethodGet, http.MethodPost, http.MethodDelete)
	subs := httpapi.BindSubscriptions(f.subs, f.observer)
	streams := &httpapi.Events{
		Subscriptions: subs,
		Set:           f.set,
		Hub:           f.hub,
		Sessions:      f.sessions,
		AddressLimit:  perAddress,
		Origins:       origins,
		WriteTimeout:  cfg.WriteTimeout,
		PeerTimeout:   cfg.PeerTimeout,
	}
	sockets := httpapi.NewWebSockets(ctx, streams, httpapi.WebSocketLimits{
		MaxMessage: cfg.WSMaxMessage, PerMinute: cfg.WSRate, Silence: cfg.Silence(),
		Quiet: cfg.Silence()/2 - cfg.Heartbeat, // so that two pings are not answered before the peer counts as gone
	})
	a.components = append(a.components,
		run.Func("websocket messages", sockets.Run),
		run.Func("streams", func(ctx context.Context) error { <-ctx.Done(); f.drain(ctx); return nil }),
	)
	mux := http.NewServeMux()
	f.host.Health.Register(mux)
	if cfg.SSE {
		mux.Handle("/events", streams) // the mux would take HEAD for GET
	}
	if cfg.WebSocket {
		mux.Handle("/ws", sockets)
	}
	(&httpapi.Subscriptions{
		Set: subs, Sessions: f.sessions,
		Rate: kit.NewRates(openingsPerMinute, openingBurst).Count(refusals, "subscription"),
	}).Register(mux)
	mux.Handle("POST /events/ticket", &httpapi.Tickets{
		Set:          f.set,
		Sessions:     f.sessions,
		AddressLimit: perAddress,
		Rate:         kit.NewRates(ticketsPerMinute, ticketBurst).Count(refusals, "ticket"),
	})
	mux.Handle("GET "+fanout.ResultsPath+"{request_id}",
		httpapi.NewResults(f.set, f.sessions, f.results, cfg.WriteTimeout))
	a.public = proxies.Wrap(httpkit.Routes(mux))
	if embedded {
		return nil
	}

	listener, err := httpkit.Listen(ctx, cfg.Bind, cfg.Port, "GATEWAY_PORT")
	if err != nil {
		return err
	}
	a.ready.Public = httpkit.URL(listener)
	handler := httpkit.Edge(tel, f.host.Health.Retire(origins.Wrap(a.public)))
	server := httpkit.NewServer("stream listener", listener, handler, tel.Logger, func() { f.drain(ctx) })
	a.components = append(a.components, server.Within(f.host.Bounds, proxies))
	return nil
}

// drain ends the open streams. Once more is harmless: streams that were not hijacked end with the listener.
func (f *service) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), streamDrain)
	defer cancel()
	f.hub.Drain(ctx)
}

// tellRoom warns of a NATS that has less room than is configured.
func (f *service) tellRoom(ctx context.Context) error {
	wanted := f.cfg.Process.NATS.StoreBytes + f.cfg.FrameMaxBytes + f.cfg.LifecycleBytes + f.cfg.ResultsBytes
	copies := int64(f.cfg.Process.NATS.Room(f.host.Telemetry.Logger).Replicas)
	return natskit.TellRoom(
		ctx, f.host.NATS, f.js, copies*wanted,
		"GATEWAY_STORE_MAX_BYTES, GATEWAY_FRAME_MAX_BYTES, GATEWAY_LIFECYCLE_MAX_BYTES, "+
			"GATEWAY_RESULT_STORE_MAX_BYTES",
		f.host.Telemetry.Logger,
	)
}
