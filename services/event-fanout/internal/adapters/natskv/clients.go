// Package natskv keeps clients, pending requests and their indexes in key-value buckets.
package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/recent"
)

// clientsBucket holds, per client id, its owner and the position it was served to.
const clientsBucket = "gateway_clients"

// clientTTL is how long a client id stays its owner's after it was last attached; a stream ends
// with its session, by default after 24 h at the most. It must exceed the retention
// of frames, so that nobody can claim an id that still has frames.
const clientTTL = 48 * time.Hour

var _ fanout.ClientStore = (*ClientStore)(nil)

// ClientStore is the key-value adapter. It is safe for concurrent use.
type ClientStore struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
	owners *recent.Cache[string, string]
}

// ownerFor is how long an owner that was read is relied on. Whose a client is changes only when nobody has attached
// it for clientTTL.
const (
	ownerFor  = time.Minute
	maxOwners = 20_000
)

type ownerRecord struct {
	Owner string `json:"owner"`
}

// NewClientStore makes the store.
func NewClientStore(js jetstream.JetStream, room natskit.Room) *ClientStore {
	cfg := jetstream.KeyValueConfig{
		Bucket: clientsBucket, Description: "Owners and positions of the gateway's stream clients.",
		TTL: clientTTL, Storage: jetstream.FileStorage,
	}
	return &ClientStore{
		js: js, bucket: room.Bucket(js, natskit.Clients, cfg), owners: recent.New[string, string](ownerFor, maxOwners),
	}
}

// Storage returns a check that NATS stores, for readiness.
func (s *ClientStore) Storage() *natskit.Storage { return natskit.NewStorage(s.js, s.bucket) }

// Claim implements the port. A claim by the owner renews the record.
func (s *ClientStore) Claim(ctx context.Context, c fanout.Client) (string, error) {
	value, err := json.Marshal(ownerRecord{Owner: c.Owner})
	if err != nil {
		return "", err
	}
	for {
		err := s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
			_, err := kv.Create(ctx, "owner."+c.ID, value)
			return err
		})
		if err == nil {
			return c.Owner, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return "", err
		}
		entry, err := natskit.Entry(ctx, s.bucket, "owner."+c.ID)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // it aged out in between
		}
		if err != nil {
			return "", err
		}
		var r ownerRecord
		if err := json.Unmarshal(entry.Value(), &r); err != nil {
			return "", err
		}
		if r.Owner == c.Owner {
			// Losing the race to renew it means that another stream of the same user did.
			_ = s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
				_, err := kv.Update(ctx, "owner."+c.ID, value, entry.Revision())
				return err
			})
		}
		return r.Owner, nil
	}
}

// Owner implements the port.
func (s *ClientStore) Owner(ctx context.Context, id string) (string, error) {
	if owner, known := s.owners.Get(id, time.Now()); known {
		return owner, nil
	}
	entry, err := natskit.Entry(ctx, s.bucket, "owner."+id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var r ownerRecord
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return "", err
	}
	s.owners.Put(id, r.Owner, time.Now())
	return r.Owner, nil
}

// SavePosition implements the port: it publishes and does not wait, also not for the
// acknowledgements of earlier ones, which PublishAsync of JetStream does. What is lost is a position
// that is a little old, so a reattach without a last id would repeat a frame.
func (s *ClientStore) SavePosition(id, epoch string, seq uint64) {
	_ = s.js.Conn().Publish("$KV."+clientsBucket+".pos."+id, []byte(epoch+" "+strconv.FormatUint(seq, 10)))
}

// Position implements the port.
func (s *ClientStore) Position(ctx context.Context, id string) (string, uint64, error) {
	entry, err := natskit.Entry(ctx, s.bucket, "pos."+id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	epoch, number, _ := strings.Cut(string(entry.Value()), " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return "", 0, nil //nolint:nilerr // an unreadable position is no position
	}
	return epoch, seq, nil
}
