package natskv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// LoginsBucket holds which login opened which session. Nobody else reads it.
const LoginsBucket = "gateway_auth_logins"

// maxFound bounds the sessions that one query returns.
const maxFound = 10_000

var _ auth.Logins = (*Logins)(nil)

// Logins keep entries until the session ends: "t.<session>" with the record, and the indexes
// "s.<subject>.<issuer's session>.<session>" and "u.<user>.<session>", which NATS finds by any of
// their parts. All parts are hashes, so that reading the bucket gives nobody a session or an
// address. It is safe for concurrent use.
type Logins struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewLogins makes the adapter.
func NewLogins(js jetstream.JetStream, room natskit.Room) *Logins {
	return &Logins{js, room.Bucket(js, natskit.Logins, jetstream.KeyValueConfig{
		Bucket: LoginsBucket, Description: "which login opened which session, by hashes (auth)", History: 1,
		Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})}
}

// login is the stored record; its moment is the entry's.
type login struct {
	Users        []authwire.UserKey `json:"users,omitempty"`
	HasSessionID bool               `json:"has_sid,omitempty"`
	ExpiresAt    time.Time          `json:"expires_at"`
}

// none stands in an index for a part that a login does not have.
const none = "-"

// part hashes what an index is searched by. 128 bits suffice: who could make two that are equal
// would only find sessions of their own.
func part(issuer, text string) string {
	if issuer == "" || text == "" {
		return none
	}
	sum := sha256.Sum256([]byte(issuer + "\x00" + text))
	return hex.EncodeToString(sum[:16])
}

// userPart is a user's part of an index.
func userPart(u authwire.UserKey) string { return strings.ReplaceAll(u.String(), ".", "-") }

// Record stores a login.
func (l *Logins) Record(ctx context.Context, k auth.Key, r auth.LoginRecord) error {
	value, err := json.Marshal(login{Users: r.Users, HasSessionID: r.SessionID != "", ExpiresAt: r.ExpiresAt.UTC()})
	if err != nil {
		return err
	}
	names := []string{
		strings.Join([]string{"s", part(r.Issuer, r.Subject), part(r.Issuer, r.SessionID), k.String()}, "."),
	}
	for _, u := range r.Users {
		names = append(names, "u."+userPart(u)+"."+k.String())
	}
	names = append(names, "t."+k.String()) // last: it says that all is there
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return l.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		for _, name := range names {
			if err := put(ctx, l.js, kv.Bucket(), name, value, r.ExpiresAt); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get reads a login; issuer, subject and session id are kept as hashes only and stay empty.
func (l *Logins) Get(ctx context.Context, k auth.Key) (auth.LoginRecord, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	entry, err := natskit.Entry(ctx, l.bucket, "t."+k.String())
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return auth.LoginRecord{}, false, nil
	case err != nil:
		return auth.LoginRecord{}, false, err
	}
	var stored login
	if err := json.Unmarshal(entry.Value(), &stored); err != nil {
		return auth.LoginRecord{}, false, nil // unreadable is not known: whatever needs it refuses
	}
	return auth.LoginRecord{Users: stored.Users, ExpiresAt: stored.ExpiresAt, At: entry.Created()}, true, nil
}

// Find returns the sessions of a user or of an issuer's subject or session.
func (l *Logins) Find(ctx context.Context, q auth.LoginQuery) ([]auth.KnownSession, error) {
	var filter string
	switch {
	case q.User != "":
		filter = "u." + userPart(q.User) + ".*"
	case q.SessionID != "":
		filter = "s.*." + part(q.Issuer, q.SessionID) + ".*"
	default:
		filter = "s." + part(q.Issuer, q.Subject) + ".*.*"
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	w, err := natskit.Use(ctx, l.bucket, func(kv jetstream.KeyValue) (jetstream.KeyWatcher, error) {
		return kv.Watch(ctx, filter, jetstream.IgnoreDeletes())
	})
	if err != nil {
		return nil, err
	}
	defer func() { go func() { _ = w.Stop() }() }()
	var found []auth.KnownSession
	for len(found) < maxFound {
		select {
		case <-ctx.Done():
			return nil, natskit.AsFault(ctx.Err())
		case e, open := <-w.Updates():
			switch {
			case !open:
				return nil, natskit.AsFault(errors.New("the watch ended"))
			case e == nil: // all that there is
				return found, nil
			}
			if known, ok := indexed(e); ok {
				found = append(found, known)
			}
		}
	}
	return found, nil
}

func indexed(e jetstream.KeyValueEntry) (auth.KnownSession, bool) {
	parts := strings.Split(e.Key(), ".")
	k, ok := authwire.ParseTokenKey(parts[len(parts)-1])
	var stored login
	if !ok || json.Unmarshal(e.Value(), &stored) != nil {
		return auth.KnownSession{}, false
	}
	return auth.KnownSession{Key: k, ExpiresAt: stored.ExpiresAt, HasSessionID: stored.HasSessionID}, true
}
