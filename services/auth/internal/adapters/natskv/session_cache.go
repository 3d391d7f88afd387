// Package natskv keeps sessions and revocations in NATS key-value buckets.
package natskv

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/wire"
)

// opTimeout bounds one operation on a bucket. A store that is unavailable must leave the caller
// most of its budget for asking NoETL.
const opTimeout = 2 * time.Second

var _ auth.SessionCache = (*SessionCache)(nil)

// SessionCache is the bucket that the login playbooks write too. It is safe for concurrent use.
type SessionCache struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewSessionCache makes a cache; the bucket is bound when it is first used, and made with the
// time to live if it does not exist.
func NewSessionCache(js jetstream.JetStream, bucket string, ttl time.Duration, room natskit.Room) *SessionCache {
	return &SessionCache{room.Bucket(js, natskit.Sessions, jetstream.KeyValueConfig{
		Bucket: bucket, Description: "cached sessions (auth)", TTL: ttl, History: 1, Storage: jetstream.FileStorage,
	})}
}

// Get reads a record.
func (c *SessionCache) Get(ctx context.Context, t auth.Token) (auth.Record, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	entry, err := natskit.Entry(ctx, c.bucket, t.Reveal())
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return auth.Record{}, false, nil
	case err != nil:
		return auth.Record{}, false, err
	}
	record, err := wire.Record(t, entry.Value())
	if err != nil {
		return auth.Record{}, false, err
	}
	return record, true, nil
}

// Fill writes a live record unless there is one.
func (c *SessionCache) Fill(ctx context.Context, t auth.Token, s auth.Session) error {
	return c.write(
		ctx,
		t,
		auth.Record{Session: s, Active: true},
		func(ctx context.Context, kv jetstream.KeyValue, value []byte) error {
			_, err := kv.Create(ctx, t.Reveal(), value)
			_, err = natskit.Won(err)
			return err
		},
	)
}

// Renew writes a live record over a live one, or where there is none. Of two at a time one wins; the other
// had the same answer.
func (c *SessionCache) Renew(ctx context.Context, t auth.Token, s auth.Session) error {
	return c.write(
		ctx,
		t,
		auth.Record{Session: s, Active: true},
		func(ctx context.Context, kv jetstream.KeyValue, value []byte) error {
			entry, err := kv.Get(ctx, t.Reveal())
			switch {
			case errors.Is(err, jetstream.ErrKeyNotFound):
				_, err = kv.Create(ctx, t.Reveal(), value)
			case err != nil:
				return err
			default:
				if old, rerr := wire.Record(t, entry.Value()); rerr == nil && !old.Active {
					return nil
				}
				_, err = kv.Update(ctx, t.Reveal(), value, entry.Revision())
			}
			_, err = natskit.Won(err)
			return err
		},
	)
}

// Deactivate writes an ended record over whatever is there.
func (c *SessionCache) Deactivate(ctx context.Context, t auth.Token, s auth.Session) error {
	return c.write(
		ctx,
		t,
		auth.Record{Session: s},
		func(ctx context.Context, kv jetstream.KeyValue, value []byte) error {
			_, err := kv.Put(ctx, t.Reveal(), value)
			return err
		},
	)
}

func (c *SessionCache) write(
	ctx context.Context,
	t auth.Token,
	r auth.Record,
	put func(context.Context, jetstream.KeyValue, []byte) error,
) error {
	value, err := wire.EncodeRecord(t, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return c.bucket.Do(ctx, func(kv jetstream.KeyValue) error { return put(ctx, kv, value) })
}
