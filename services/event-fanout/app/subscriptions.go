package app

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsauthority"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsdocuments"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natskv"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natspresence"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natswatches"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/prom"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/sidecar"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// sources returns what can be watched.
func (f *service) sources() ([]subscriptions.WatchSource, error) {
	list := []subscriptions.WatchSource{f.lifecycle.Executions()}
	if bucket := f.cfg.Subs.KVBucket; bucket != "" {
		list = append(list, natsdocuments.New(f.js, bucket))
	}
	if !f.cfg.Subs.Firestore.On() {
		return list, nil
	}
	command, err := sidecar.DefaultCommand()
	if text := f.cfg.Subs.Firestore.Command; text != "" {
		if command, err = sidecar.ParseCommand(text); err != nil {
			err = fmt.Errorf("GATEWAY_FIRESTORE_LISTENER_CMD: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	f.watcher = sidecar.New(sidecar.Config{
		Command: command, Env: f.cfg.Subs.Firestore.Environ(os.Environ()), Logger: f.host.Telemetry.Logger,
		Outage: f.host.Telemetry.Outages.Of("firestore_listener", strings.Join(command[:1], "")),
	})
	return append(list, f.watcher), nil
}

func sourceNames(sources []subscriptions.WatchSource) []string {
	var names []string
	for _, s := range sources {
		names = append(names, s.Name())
	}
	return names
}

// subscriptions makes the service of subscriptions on its adapters.
func (f *service) subscriptions(
	ctx context.Context, js jetstream.JetStream, sources []subscriptions.WatchSource, room natskit.Room,
) error {
	cfg, tel := f.cfg.Subs, f.host.Telemetry
	patterns, err := cfg.Patterns()
	if err != nil {
		return err
	}
	f.here = natspresence.New(f.host.NATS, f.hub, f.feed)
	meter := prom.NewSubscriptions(tel.Registry)
	f.subs = subscriptions.New(subscriptions.Deps{
		Sources:     sources,
		Patterns:    patterns,
		Records:     natswatches.NewRecords(js, room, tel.Logger),
		Documents:   natswatches.NewDocuments(js, room),
		Leases:      natskv.NewLeases(js, cmp.Or(f.host.Replica, uuid.NewString()), room),
		Frames:      f.counted,
		Clients:     f.owners,
		Connections: f.here,
		Authority:   natsauthority.New(f.host.NATS, tel),
		Meter:       meter,
		Limits: subscriptions.Limits{
			PerClient: cfg.PerClient, PerSession: cfg.PerSession, PerUser: cfg.PerUser, Total: cfg.Max,
			Documents: cfg.Documents, Bytes: cfg.Bytes, AllBytes: cfg.AllBytes, Changes: cfg.Changes,
		},
		Recheck: cfg.Recheck,
		Absence: cfg.Absence,
		NewID:   uuid.NewString,
		Logger:  tel.Logger,
		Outages: tel.Outages,
		Around: func(
			next func(context.Context, *subscriptions.Batch) (struct{}, error),
		) func(context.Context, *subscriptions.Batch) (struct{}, error) {
			return kit.Bind(f.observer, "fanout.push-changes", kit.Limits{}, next)
		},
	})
	meter.Watch(tel.Registry, f.subs)
	base := context.WithoutCancel(ctx)
	f.sessions.OnRevoked(func(key authwire.TokenKey) { f.subs.EndSession(base, key) })
	return nil
}
