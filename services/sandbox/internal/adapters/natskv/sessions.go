// Package natskv writes session records to the key-value bucket in which the gateway
// looks for them.
package natskv

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

var _ sandbox.SessionWriter = (*Sessions)(nil)

// Sessions writes to a bucket that it binds to, or makes if it is missing. It is safe for
// concurrent use.
type Sessions struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// New makes a writer. It does not need NATS to be there yet.
func New(js jetstream.JetStream, bucket string, ttl time.Duration, room natskit.Room) *Sessions {
	return &Sessions{bucket: room.Bucket(js, natskit.Sessions, jetstream.KeyValueConfig{Bucket: bucket, TTL: ttl})}
}

// Put writes a record under its session token.
func (s *Sessions) Put(ctx context.Context, r sandbox.SessionRecord) error {
	data, err := json.Marshal(r) //nolint:gosec // the record holds its token by contract, section 2
	if err != nil {
		return err
	}
	return s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, r.SessionToken, data)
		return err
	})
}
