package natsinbox

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Keys of the bucket.
const (
	listenerKey = "listener."
	versionKey  = "version."
)

// versionAge is how much longer than a delivery a configuration is kept.
const versionAge = 48 * time.Hour

// Watch implements the port.
func (s *Store) Watch(ctx context.Context, told func(ingress.Control)) error {
	return natskit.Watch{
		JS: s.js, Bucket: s.control, Logger: s.Logger,
		Put: func(e jetstream.KeyValueEntry) {
			var c ingress.Control
			if strings.HasPrefix(e.Key(), listenerKey) && json.Unmarshal(e.Value(), &c) == nil && c.Listener != "" {
				told(c)
			}
		},
	}.Run(ctx)
}

// changeTries bounds how often a change is tried that somebody else is faster than.
const changeTries = 10

// Change implements the port.
func (s *Store) Change(ctx context.Context, listener string, change func(*ingress.Control)) (ingress.Control, error) {
	key := listenerKey + token(listener)
	for range changeTries {
		control := ingress.Control{Listener: listener}
		var revision uint64
		entry, err := natskit.Entry(ctx, s.control, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
		case err != nil:
			return control, err
		default:
			revision = entry.Revision()
			if err := json.Unmarshal(entry.Value(), &control); err != nil {
				control = ingress.Control{Listener: listener}
			}
		}
		before := control
		change(&control)
		if control == before && revision != 0 {
			return control, nil
		}
		value, err := json.Marshal(control)
		if err != nil {
			return control, err
		}
		err = s.control.Do(ctx, func(kv jetstream.KeyValue) error {
			if revision == 0 {
				_, err := kv.Create(ctx, key, value)
				return err
			}
			_, err := kv.Update(ctx, key, value, revision)
			return err
		})
		won, err := natskit.Won(err)
		if won || err != nil {
			return control, err
		}
	}
	return ingress.Control{}, fault.New(fault.Unavailable, "control_busy", "the listener is being changed; try again")
}

// PutVersion implements the port. The entry expires by itself.
func (s *Store) PutVersion(ctx context.Context, version string, config []byte) error {
	return s.control.Do(ctx, func(jetstream.KeyValue) error {
		_, err := s.js.PublishMsg(ctx,
			&nats.Msg{Subject: "$KV." + ControlKV + "." + versionKey + version, Data: config, Header: nats.Header{}},
			jetstream.WithMsgTTL(s.Retention+versionAge))
		return err
	})
}

// Version implements the port.
func (s *Store) Version(ctx context.Context, version string) ([]byte, error) {
	entry, err := natskit.Entry(ctx, s.control, versionKey+version)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "no_such_version", "that configuration is no longer kept")
	}
	if err != nil {
		return nil, err
	}
	return entry.Value(), nil
}
