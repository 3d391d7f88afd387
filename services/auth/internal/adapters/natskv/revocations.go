package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// maxKnown bounds the revocations held in memory, about 80 MB. Beyond it the bucket alone
// knows, and an outage of the bucket is then an outage of session checks.
const maxKnown = 1_000_000

var _ auth.Revocations = (*Revocations)(nil)

// Revocations is the bucket [authwire.RevokedBucket] and what [Revocations.Run] has seen of
// it. The bucket is asked each time; the memory answers when the bucket is unavailable. It is safe
// for concurrent use.
type Revocations struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
	logger *slog.Logger

	together *questions
	oneByOne atomic.Int64 // to when keys are not read together, in Unix nanoseconds

	mu       sync.Mutex
	known    map[auth.Key]time.Time // to when it counts
	users    map[authwire.UserKey]userMark
	complete bool // known and users hold all that the bucket held at some time
	overflow bool
}

// userMark is the end of all sessions of a user: when the bucket took it, and to when it counts.
type userMark struct{ at, until time.Time }

// NewRevocations makes the adapter; Run makes the bucket.
func NewRevocations(js jetstream.JetStream, room natskit.Room, logger *slog.Logger) *Revocations {
	r := &Revocations{
		js: js, logger: logger, known: map[auth.Key]time.Time{},
		users: map[authwire.UserKey]userMark{}, bucket: room.Bucket(js, natskit.Revoked, jetstream.KeyValueConfig{
			Bucket: authwire.RevokedBucket, Description: "revoked sessions, by hash of the token (auth)", History: 1,
			Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
		}),
	}
	r.together = &questions{read: r.readNone}
	return r
}

// revocation is the stored value.
type revocation struct {
	Until time.Time `json:"until"`
}

// Revoke stores a revocation until a moment.
func (r *Revocations) Revoke(ctx context.Context, k auth.Key, until time.Time) error {
	err := r.store(ctx, k.String(), until, false)
	if err == nil {
		r.remember(k, until)
	}
	return err
}

// RevokeUser stores the end of all sessions of a user. A later one replaces it.
func (r *Revocations) RevokeUser(ctx context.Context, u authwire.UserKey, until time.Time) error {
	return r.store(ctx, u.String(), until, true) // the memory learns its time from the watch
}

func (r *Revocations) store(ctx context.Context, name string, until time.Time, again bool) error {
	value, err := json.Marshal(revocation{until.UTC()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return r.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		if again {
			return put(ctx, r.js, kv.Bucket(), name, value, until)
		}
		_, err := kv.Create(ctx, name, value, jetstream.KeyTTL(lifetime(until)))
		_, err = natskit.Won(err)
		return err
	})
}

// Revoked reports whether a token is revoked.
func (r *Revocations) Revoked(ctx context.Context, k auth.Key) (bool, error) {
	hit, complete := r.remembered(k)
	if hit {
		return true, nil
	}
	entry, err := r.entry(ctx, k.String())
	// While the bucket is unavailable nobody can revoke, so what was seen of it is all there is. A
	// process that never saw it must not guess.
	if complete && fault.IsOutage(err) {
		return false, nil
	}
	return entry != nil, err
}

// UserRevoked returns when all sessions of the user with one of these keys were last ended.
func (r *Revocations) UserRevoked(ctx context.Context, users []authwire.UserKey) (time.Time, error) {
	var last time.Time
	for _, key := range users {
		at, complete := r.marked(key)
		entry, err := r.entry(ctx, key.String())
		switch {
		case err != nil && (!complete || !fault.IsOutage(err)):
			return time.Time{}, err
		case err == nil && entry == nil: // it ran out
			at = time.Time{}
		case entry != nil:
			at = entry.Created()
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}

// entry reads a key and notes what it says; nil if it is not there.
func (r *Revocations) entry(ctx context.Context, name string) (jetstream.KeyValueEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	entry, err := natskit.Entry(ctx, r.bucket, name)
	switch {
	case err == nil:
		r.note(entry)
		return entry, nil
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, nil //nolint:nilnil // not there is an answer
	default:
		return nil, err
	}
}

// Probe reports whether the revocations are followed, for readiness.
func (r *Revocations) Probe(context.Context) error {
	if _, complete := r.remembered(auth.Key{}); !complete {
		return fault.New(fault.Unavailable, "revocations_unknown", "the revoked sessions have not been read yet")
	}
	return nil
}

// Name returns the component's name.
func (r *Revocations) Name() string { return "revocations" }

// Run makes the bucket as soon as NATS is there and follows it until ctx ends: others follow it too, so it must
// come back when NATS came back without it.
func (r *Revocations) Run(ctx context.Context) error {
	return natskit.Watch{
		JS: r.js, Bucket: r.bucket, Logger: r.logger, Put: r.note, CaughtUp: r.caughtUp, Tick: r.forgetExpired,
	}.Run(ctx)
}

func (r *Revocations) note(e jetstream.KeyValueEntry) {
	var v revocation
	if err := json.Unmarshal(e.Value(), &v); err != nil || v.Until.IsZero() {
		v.Until = e.Created().Add(24 * time.Hour) // unreadable, but somebody revoked it
	}
	if user, ok := authwire.ParseUserKey(e.Key()); ok {
		r.mark(user, userMark{at: e.Created(), until: v.Until})
	} else if k, ok := authwire.ParseTokenKey(e.Key()); ok {
		r.remember(k, v.Until)
	}
}

func (r *Revocations) remember(k auth.Key, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxKnown {
		r.overflow = true
		return
	}
	r.known[k] = until
}

func (r *Revocations) mark(u authwire.UserKey, m userMark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.users) >= maxKnown {
		r.overflow = true
		return
	}
	r.users[u] = m
}

func (r *Revocations) remembered(k auth.Key) (hit, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.known[k]
	return ok && time.Now().Before(until), r.complete && !r.overflow
}

func (r *Revocations) marked(u authwire.UserKey) (at time.Time, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.users[u]; ok && time.Now().Before(m.until) {
		at = m.at
	}
	return at, r.complete && !r.overflow
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
	for u, m := range r.users {
		if !now.Before(m.until) {
			delete(r.users, u)
		}
	}
}
