package app

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/eventfeed"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsedge"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natskv"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natslifecycle"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsobjects"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natspresence"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsrelay"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/prom"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/sidecar"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// service is the domain on its adapters, before it has listeners.
type service struct {
	cfg       Config
	host      run.Host
	js        jetstream.JetStream
	frames    *natsframes.FrameLog
	counted   *prom.Frames // the frames, counted
	feed      *natsframes.LiveFeed
	lifecycle *natslifecycle.Log
	results   *natsobjects.ResultStore
	owners    *natskv.ClientStore
	sessions  *sessions.Client
	domain    *fanout.Service
	hub       *fanout.Hub
	subs      *subscriptions.Service
	here      *natspresence.Connections
	watcher   *sidecar.Source // nil where Firestore is not configured
	intakes   []*fanout.Intake
	observer  kit.Observer
	set       httpapi.Operations
}

// build makes the adapters, then the domain.
func build(ctx context.Context, cfg Config, host run.Host) (*service, error) {
	tel, nc, replicas := host.Telemetry, host.NATS, cfg.Process.NATS.Replicas
	room := cfg.Process.NATS.Room(tel.Logger)
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	f := &service{
		cfg: cfg, host: host, js: js,
		feed:   natsframes.NewLiveFeed(nc),
		owners: natskv.NewClientStore(js, room),
		results: natsobjects.New(js, natsobjects.Config{
			TTL: cfg.RequestTTL, MaxBytes: cfg.ResultsBytes, Replicas: replicas,
		}, uuid.NewString),
		observer: kit.NewObserver(tel, "event-fanout"),
	}
	if f.frames, err = natsframes.New(nc, natsframes.Config{
		TTL: cfg.FrameTTL, MaxBytes: cfg.FrameMaxBytes, MaxPerClient: cfg.FramePerClient, Replicas: replicas,
		Shards: cfg.FrameShards,
	}, natskv.Agreed(js, room), tel); err != nil {
		return nil, err
	}
	if f.lifecycle, err = natslifecycle.New(nc, natslifecycle.Config{
		TTL: cfg.LifecycleTTL, MaxBytes: cfg.LifecycleBytes, Replicas: replicas,
	}, tel); err != nil {
		return nil, err
	}
	if f.sessions, err = sessions.New(nc, cfg.Sessions, tel); err != nil {
		return nil, err
	}
	sources, err := f.sources()
	if err != nil {
		return nil, err
	}
	routes, settler := natskv.NewRoutes(js, cfg.RequestTTL, room), natsrelay.NewSettler(nc)

	f.counted = prom.NewFrames(tel.Registry, f.frames)
	f.domain = fanout.New(fanout.Deps{
		Frames:    f.counted,
		Feed:      f.feed,
		Clients:   f.owners,
		Requests:  natskv.NewRequestStore(js, cfg.RequestBucket, cfg.RequestTTL, room),
		Results:   f.results,
		Tickets:   natskv.NewTicketStore(js, room),
		Commands:  natsedge.New(nc, tel),
		Routes:    natskv.RouteIndex{Routes: routes},
		Pending:   natskv.PendingIndex{Routes: routes},
		Lists:     natskv.RequestLists{Routes: routes},
		Lifecycle: f.lifecycle,
		Settler:   settler,
		Relay:     natsrelay.New(nc, tel),
		Logger:    tel.Logger,

		NewID:     uuid.NewString,
		TraceID:   telemetry.TraceID,
		Now:       time.Now,
		Forwarded: cfg.Forwarded,
		Sources:   sourceNames(sources),
		Version:   run.Version(),
	})
	f.set = httpapi.Bind(f.domain, f.observer)
	if f.intakes, err = intakes(cfg, js, f.domain, settler, tel); err != nil {
		return nil, err
	}
	f.lifecycle.Alone(func() (time.Time, bool) { return heldAll(f.intakes) })
	f.hub = fanout.NewHub(ctx, fanout.HubConfig{
		Replica:           host.Replica,
		Heartbeat:         cfg.Heartbeat,
		QueueFrames:       cfg.QueueFrames,
		QueueBytes:        cfg.QueueBytes,
		MaxStreams:        cfg.MaxStreams,
		StreamsPerUser:    cfg.PerUser,
		StreamsPerSession: cfg.PerSession,
		StreamsPerAddress: cfg.PerAddress,
		Recheck:           cfg.SessionRecheck,
	}, f.frames, f.feed, f.owners, f.sessions, tel.Logger)
	f.sessions.OnRevoked(f.hub.EndSession)
	if err := f.subscriptions(ctx, js, sources, room); err != nil {
		return nil, err
	}
	tel.Registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "noetl_gateway_streams", Help: "Open event streams."},
		func() float64 { return float64(f.hub.Streams()) },
	))
	return f, nil
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
			Outages: tel.Outages,
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
