package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

const (
	// maxKnown bounds the revocations held in memory, about 80 MB. Beyond it the bucket alone
	// knows, and an outage of the bucket is then an outage of session checks.
	maxKnown = 1_000_000
	// watchRetry is how long to wait before the watch is opened again.
	watchRetry = 250 * time.Millisecond
	// watchCheck is how often the bucket is looked after: others follow it, so it must come
	// back when NATS came back without it.
	watchCheck = 5 * time.Second
)

var _ auth.Revocations = (*Revocations)(nil)

// Revocations is the bucket [authwire.RevokedBucket] and what [Revocations.Run] has seen of
// it. The bucket is asked each time; the memory answers when the bucket is away. It is safe
// for concurrent use.
type Revocations struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
	logger *slog.Logger

	mu       sync.Mutex
	known    map[authwire.TokenKey]time.Time // to when it counts
	complete bool                            // known holds all that the bucket held at some time
	overflow bool
}

// NewRevocations makes the adapter; Run makes the bucket.
func NewRevocations(js jetstream.JetStream, replicas int, logger *slog.Logger) *Revocations {
	return &Revocations{logger: logger, known: make(map[authwire.TokenKey]time.Time), bucket: natskit.Bucket(js, jetstream.KeyValueConfig{
		Bucket: authwire.RevokedBucket, Description: "revoked sessions, by hash of the token (auth)", History: 1, Replicas: replicas,
		Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})}
}

// revocation is the stored value.
type revocation struct {
	Until time.Time `json:"until"`
}

// Revoke stores a revocation until a moment.
func (r *Revocations) Revoke(ctx context.Context, t auth.Token, until time.Time) error {
	value, err := json.Marshal(revocation{until.UTC()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	kv, err := r.bucket.Get(ctx)
	if err != nil {
		return err
	}
	_, err = kv.Create(ctx, key(t), value, jetstream.KeyTTL(lifetime(until)))
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return r.bucket.Failed(err)
	}
	r.remember(authwire.KeyOf(string(t)), until)
	return nil
}

// Revoked reports whether a token is revoked.
func (r *Revocations) Revoked(ctx context.Context, t auth.Token) (bool, error) {
	hit, complete := r.remembered(authwire.KeyOf(string(t)))
	if hit {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	kv, err := r.bucket.Get(ctx)
	if err == nil {
		var entry jetstream.KeyValueEntry
		if entry, err = kv.Get(ctx, key(t)); err == nil {
			r.note(entry)
			return true, nil
		}
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return false, nil
		}
		err = r.bucket.Failed(err)
	}
	// While the bucket is away nobody can revoke, so what was seen of it is all there is. A
	// process that never saw it must not guess.
	if complete && fault.Outage(err) {
		return false, nil
	}
	return false, err
}

// Probe reports whether the revocations are followed, for readiness.
func (r *Revocations) Probe(context.Context) error {
	if _, complete := r.remembered(authwire.TokenKey{}); !complete {
		return fault.New(fault.Unavailable, "revocations_unknown", "the revoked sessions have not been read yet")
	}
	return nil
}

// Name returns the component's name.
func (r *Revocations) Name() string { return "revocations" }

// Run makes the bucket as soon as NATS is there and follows it until ctx ends.
func (r *Revocations) Run(ctx context.Context) error {
	for {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.logger.DebugContext(ctx, "revocation watch not running, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchRetry):
		}
	}
}

func (r *Revocations) follow(ctx context.Context) error {
	octx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	kv, err := r.bucket.Get(octx)
	if err != nil {
		return err
	}
	// A watch on a bucket that is gone fails with an error that does not say so.
	if err := r.check(ctx, kv); err != nil {
		return err
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return r.bucket.Failed(err)
	}
	// It asks the server to delete the consumer, which takes 5 s when the server is away.
	defer func() { go func() { _ = w.Stop() }() }()
	check := time.NewTicker(watchCheck)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-check.C:
			if err := r.check(ctx, kv); err != nil {
				return err
			}
		case e, open := <-w.Updates():
			switch {
			case !open:
				return errors.New("the watch ended")
			case e == nil:
				r.caughtUp()
			default:
				r.note(e)
			}
		}
	}
}

// check forgets what ran out and ends the watch when the bucket is gone.
func (r *Revocations) check(ctx context.Context, kv jetstream.KeyValue) error {
	r.forgetExpired()
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	_, err := kv.Status(ctx)
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return r.bucket.Failed(err)
	}
	return nil // an outage: the watch resumes by itself
}

func (r *Revocations) note(e jetstream.KeyValueEntry) {
	k, ok := authwire.ParseTokenKey(e.Key())
	if !ok || e.Operation() != jetstream.KeyValuePut {
		return
	}
	var v revocation
	if err := json.Unmarshal(e.Value(), &v); err != nil || v.Until.IsZero() {
		v.Until = e.Created().Add(24 * time.Hour) // unreadable, but somebody revoked it
	}
	r.remember(k, v.Until)
}

func (r *Revocations) remember(k authwire.TokenKey, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxKnown {
		r.overflow = true
		return
	}
	r.known[k] = until
}

func (r *Revocations) remembered(k authwire.TokenKey) (hit, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.known[k]
	return ok && time.Now().Before(until), r.complete && !r.overflow
}

func (r *Revocations) caughtUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complete = true
}

func (r *Revocations) forgetExpired() {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, until := range r.known {
		if !now.Before(until) {
			delete(r.known, k)
		}
	}
}
