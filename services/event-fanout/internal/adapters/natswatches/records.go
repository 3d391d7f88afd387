// Package natswatches keeps subscriptions, and what is known of their documents, in key-value buckets.
package natswatches

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

var _ subscriptions.Records = (*Records)(nil)

// Records is the bucket of subscriptions. It is safe for concurrent use.
type Records struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
	logger *slog.Logger
}

// markerLife is for how long a deleted record leaves a mark, for those who follow the bucket.
const markerLife = time.Hour

// NewRecords makes the store.
func NewRecords(js jetstream.JetStream, room natskit.Room, logger *slog.Logger) *Records {
	return &Records{js: js, logger: logger, bucket: room.Bucket(js, natskit.Subscriptions, jetstream.KeyValueConfig{
		Bucket: string(natskit.Subscriptions), Description: "Subscriptions of the NoETL gateway's clients.",
		Storage: jetstream.FileStorage, LimitMarkerTTL: markerLife,
	})}
}

// Put implements the port.
func (s *Records) Put(ctx context.Context, r subscriptions.Record) (uint64, error) {
	value, err := json.Marshal(r) //nolint:gosec // the session key is a hash
	if err != nil {
		return 0, err
	}
	revision, err := natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) (uint64, error) {
		if r.Revision == 0 {
			return kv.Create(ctx, r.ID, value)
		}
		return kv.Update(ctx, r.ID, value, r.Revision)
	})
	if natskit.LostRace(err) {
		return 0, fault.Wrap(err, fault.Conflict, "subscription_changed", "the subscription has just changed")
	}
	return revision, err
}

// Get implements the port.
func (s *Records) Get(ctx context.Context, id string) (subscriptions.Record, error) {
	entry, err := natskit.Entry(ctx, s.bucket, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return subscriptions.Record{}, fault.Wrap(err, fault.NotFound, "no_such_subscription",
			"there is no such subscription")
	}
	if err != nil {
		return subscriptions.Record{}, err
	}
	return decode(entry)
}

func decode(entry jetstream.KeyValueEntry) (r subscriptions.Record, err error) {
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return r, err
	}
	r.ID, r.Revision = entry.Key(), entry.Revision()
	return r, nil
}

// Delete implements the port.
func (s *Records) Delete(ctx context.Context, id string) error {
	err := s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		return kv.Purge(ctx, id, jetstream.PurgeTTL(markerLife))
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	return err
}

// Follow implements the port.
func (s *Records) Follow(ctx context.Context, told subscriptions.Told) error {
	return natskit.Watch{
		JS: s.js, Bucket: s.bucket, Logger: s.logger, Begin: told.Begin, CaughtUp: told.CaughtUp,
		Put: func(e jetstream.KeyValueEntry) {
			if r, err := decode(e); err == nil {
				told.Put(r)
			}
		},
		Gone: func(e jetstream.KeyValueEntry) { told.Gone(e.Key(), e.Revision()) },
	}.Run(ctx)
}
