package natskv

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// BearersBucket holds which session an access token opened. Nobody else reads it.
const BearersBucket = "gateway_auth_bearers"

var _ auth.Bearers = (*Bearers)(nil)

// Bearers keep sealed records under hashes, each until its access token expires. It is safe for concurrent use.
type Bearers struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewBearers makes the adapter.
func NewBearers(js jetstream.JetStream, room natskit.Room) *Bearers {
	return &Bearers{room.Bucket(js, natskit.Bearers, jetstream.KeyValueConfig{
		Bucket: BearersBucket, Description: "which session an access token opened, sealed (auth)", History: 1,
		Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})}
}

// Get reads a record.
func (b *Bearers) Get(ctx context.Context, name string) ([]byte, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	entry, err := natskit.Entry(ctx, b.bucket, name)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return entry.Value(), true, nil
}

// Create stores a record unless there is one.
func (b *Bearers) Create(ctx context.Context, name string, sealed []byte, until time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	created := false
	err := b.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, name, sealed, jetstream.KeyTTL(lifetime(until)))
		created, err = natskit.Won(err)
		return err
	})
	if f := fault.Of(err); err != nil && f.Code == natskit.StoreFull {
		err = errors.Join(auth.ErrNotStored, err)
	}
	return created && err == nil, err
}
