package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// LocalBucket holds the sessions of the backend local. Nobody else reads it.
const LocalBucket = "gateway_auth_sessions"

// markerTTL is how long a bucket keeps the marker of an expired or deleted key; a bucket
// needs one to have keys that expire at all.
const markerTTL = time.Minute

// minTTL is the shortest life that NATS gives a key.
const minTTL = time.Second

var _ auth.SessionStore = (*SessionStore)(nil)

// SessionStore keeps the backend local's sessions, each until it expires, under the hash of
// its token. It is safe for concurrent use.
type SessionStore struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewSessionStore makes a store.
func NewSessionStore(js jetstream.JetStream, room natskit.Room) *SessionStore {
	return &SessionStore{room.Bucket(js, natskit.LocalSessions, jetstream.KeyValueConfig{
		Bucket: LocalBucket, Description: "sessions of the backend local (auth)", History: 1,
		Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})}
}

// localRecord is the stored form; without the token, so that reading the bucket gives nobody
// a session.
type localRecord struct {
	Issuer        string    `json:"issuer"`
	Subject       string    `json:"subject"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Name          string    `json:"name,omitempty"`
	UserID        int64     `json:"user_id"`
	ExpiresAt     time.Time `json:"expires_at"`
}

// Create stores a new session.
func (s *SessionStore) Create(ctx context.Context, t auth.Token, l auth.LocalSession) error {
	value, err := json.Marshal(localRecord{
		Issuer:        l.Identity.Issuer,
		Subject:       l.Identity.Subject,
		Email:         l.Identity.Email,
		EmailVerified: l.Identity.EmailVerified,
		Name:          l.Identity.Name,
		UserID:        l.UserID,
		ExpiresAt:     l.ExpiresAt,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	err = s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, key(t), value, jetstream.KeyTTL(lifetime(l.ExpiresAt)))
		return err
	})
	if natskit.LostRace(err) {
		return fault.New(fault.Conflict, "session_exists", "the session exists already")
	}
	return err
}

// Get reads a session that has not expired.
func (s *SessionStore) Get(ctx context.Context, t auth.Token) (auth.LocalSession, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	entry, err := natskit.Entry(ctx, s.bucket, key(t))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return auth.LocalSession{}, false, nil
	case err != nil:
		return auth.LocalSession{}, false, err
	}
	var r localRecord
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return auth.LocalSession{}, false, fault.Wrap(err, fault.Internal, "bad_session_record", "internal error")
	}
	if !time.Now().Before(r.ExpiresAt) {
		return auth.LocalSession{}, false, nil
	}
	return auth.LocalSession{
		Identity: auth.Identity{
			Issuer:        r.Issuer,
			Subject:       r.Subject,
			Email:         r.Email,
			EmailVerified: r.EmailVerified,
			Name:          r.Name,
		},
		UserID:    r.UserID,
		ExpiresAt: r.ExpiresAt,
	}, true, nil
}

// Delete ends a session.
func (s *SessionStore) Delete(ctx context.Context, t auth.Token) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	err := s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		return kv.Purge(ctx, key(t), jetstream.PurgeTTL(markerTTL))
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	return err
}

func key(t auth.Token) string { return t.Key().String() }

// lifetime is how long a key must live to be there until a moment.
func lifetime(until time.Time) time.Duration {
	return max(minTTL, time.Until(until).Round(time.Second)+time.Second)
}

// put writes a key that lives until a moment over whatever is there, in one step: package
// jetstream gives a time to live to new keys only, and a key that is deleted first would be missing
// for a moment. A bucket's keys are the subjects of its stream (NATS ADR-8).
func put(ctx context.Context, js jetstream.JetStream, bucket, name string, value []byte, until time.Time) error {
	_, err := js.PublishMsg(
		ctx, &nats.Msg{Subject: "$KV." + bucket + "." + name, Data: value}, jetstream.WithMsgTTL(lifetime(until)),
	)
	return err
}
