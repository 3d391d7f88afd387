package natskv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// FlowsBucket holds browser logins under way and tokens that count once. Nobody else reads it.
const FlowsBucket = "gateway_auth_flows"

var (
	_ auth.Flows = (*Flows)(nil)
	_ auth.Spent = (*Flows)(nil)
)

// Flows keep both under hashes: "f.<state>" and "j.<id>". It is safe for concurrent use.
type Flows struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewFlows makes the adapter.
func NewFlows(js jetstream.JetStream, room natskit.Room) *Flows {
	return &Flows{js, room.Bucket(js, natskit.Flows, jetstream.KeyValueConfig{
		Bucket: FlowsBucket, Description: "browser logins under way, spent logout tokens, by hashes (auth)", History: 1,
		Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})}
}

// Storage returns a check that NATS stores, for readiness.
func (f *Flows) Storage() *natskit.Storage { return natskit.NewStorage(f.js, f.bucket) }

// flow is the stored form.
type flow struct {
	Issuer      string    `json:"issuer"`
	Binding     string    `json:"binding"`
	CallbackURL string    `json:"callback_url"`
	ReturnTo    string    `json:"return_to"`
	Until       time.Time `json:"until"`
}

func hashed(kind, text string) string {
	sum := sha256.Sum256([]byte(text))
	return kind + "." + hex.EncodeToString(sum[:])
}

// Begin stores a flow.
func (f *Flows) Begin(ctx context.Context, state string, in auth.Flow, life time.Duration) error {
	until := time.Now().Add(life).UTC()
	value, err := json.Marshal(flow{in.Issuer, hex.EncodeToString(in.Binding[:]), in.CallbackURL, in.ReturnTo, until})
	if err != nil {
		return err
	}
	return f.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, hashed("f", state), value, jetstream.KeyTTL(lifetime(until)))
		return err
	})
}

// Get reads a flow that has not run out.
func (f *Flows) Get(ctx context.Context, state string) (auth.Flow, bool, error) {
	var stored flow
	found := false
	err := f.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		entry, err := kv.Get(ctx, hashed("f", state))
		if err == nil {
			found = json.Unmarshal(entry.Value(), &stored) == nil
		}
		return ignore(err, jetstream.ErrKeyNotFound)
	})
	binding, bad := hex.DecodeString(stored.Binding)
	if err != nil || !found || bad != nil || len(binding) != sha256.Size || !time.Now().Before(stored.Until) {
		return auth.Flow{}, false, err
	}
	return auth.Flow{
		Issuer:      stored.Issuer,
		Binding:     [sha256.Size]byte(binding),
		CallbackURL: stored.CallbackURL,
		ReturnTo:    stored.ReturnTo,
	}, true, nil
}

// Take deletes a flow and reports whether this caller did.
func (f *Flows) Take(ctx context.Context, state string) (bool, error) {
	taken := false
	err := f.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		entry, err := kv.Get(ctx, hashed("f", state))
		if err != nil {
			return ignore(err, jetstream.ErrKeyNotFound)
		}
		err = kv.Purge(ctx, hashed("f", state), jetstream.LastRevision(entry.Revision()), jetstream.PurgeTTL(markerTTL))
		taken, err = natskit.Won(err)
		return err
	})
	return taken && err == nil, err
}

// IsSpent reports whether an id was spent.
func (f *Flows) IsSpent(ctx context.Context, id string) (bool, error) {
	spent := false
	err := f.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Get(ctx, hashed("j", id))
		spent = err == nil
		return ignore(err, jetstream.ErrKeyNotFound)
	})
	return spent, err
}

// Spend stores an id until a moment.
func (f *Flows) Spend(ctx context.Context, id string, until time.Time) error {
	return f.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, hashed("j", id), nil, jetstream.KeyTTL(lifetime(until)))
		_, err = natskit.Won(err)
		return err
	})
}

// do runs an operation on the bucket within its time.
func (f *Flows) do(ctx context.Context, op func(context.Context, jetstream.KeyValue) error) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return f.bucket.Do(ctx, func(kv jetstream.KeyValue) error { return op(ctx, kv) })
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
