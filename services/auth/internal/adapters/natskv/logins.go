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

// Logins keep two entries until the session ends: "t.<session>" and the index
// "i.<user>.<user>.<subject>.<issuer's session>.<session>", which NATS finds by any of its parts: fast by the first
// user, which is the id, and by a walk through all by the others. Before there were one entry for each user
// ("u.<user>.<session>") and "s.<subject>.<issuer's session>.<session>", which are still found. All parts are hashes,
// so that reading the bucket gives nobody a session. Who logged in is in the value of the first entry, for operators to
// see; earlier gateways did not store it (ADR 0032). It is safe for concurrent use.
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
	// Issuer and Person are in the entry of the session, and not in the index.
	Issuer string  `json:"issuer,omitempty"`
	Person *person `json:"person,omitempty"`
}

// person is who logged in, without the roles: they follow the authority on users.
type person struct {
	ID    int64  `json:"id,omitempty"`
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

func (l login) record(at time.Time) auth.LoginRecord {
	r := auth.LoginRecord{Users: l.Users, ExpiresAt: l.ExpiresAt, Issuer: l.Issuer, At: at}
	if p := l.Person; p != nil {
		r.User = auth.User{ID: p.ID, Email: p.Email, DisplayName: p.Name}
	}
	return r
}

// cut shortens a text to what is kept of it.
func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), auth.MaxShown)], "") }

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
	kept := login{Users: r.Users, HasSessionID: r.SessionID != "", ExpiresAt: r.ExpiresAt.UTC()}
	value, err := json.Marshal(kept)
	kept.Issuer = cut(r.Issuer)
	if r.User.Known() {
		kept.Person = &person{ID: r.User.ID, Email: cut(r.User.Email), Name: cut(r.User.DisplayName)}
	}
	whole, err2 := json.Marshal(kept)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return l.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		indexed := make(chan error, 1)
		go func() { indexed <- put(ctx, l.js, kv.Bucket(), index(k, r), value, r.ExpiresAt) }()
		err := put(ctx, l.js, kv.Bucket(), "t."+k.String(), whole, r.ExpiresAt)
		return errors.Join(err, <-indexed)
	})
}

// index is the key by which a login is found.
func index(k auth.Key, r auth.LoginRecord) string {
	users := [2]string{none, none} // an id and an address at most
	for i := range min(len(users), len(r.Users)) {
		users[i] = userPart(r.Users[i])
	}
	return strings.Join(
		[]string{"i", users[0], users[1], part(r.Issuer, r.Subject), part(r.Issuer, r.SessionID), k.String()}, ".",
	)
}

// filters are the keys under which logins are found. Those of one watch must not overlap, so there may be several.
func filters(q auth.LoginQuery) [][]string {
	switch {
	case q.User != "":
		user := userPart(q.User)
		return [][]string{{"i." + user + ".*.*.*.*", "u." + user + ".*"}, {"i.*." + user + ".*.*.*"}}
	case q.SessionID != "":
		session := part(q.Issuer, q.SessionID)
		return [][]string{{"i.*.*.*." + session + ".*", "s.*." + session + ".*"}}
	default:
		subject := part(q.Issuer, q.Subject)
		return [][]string{{"i.*.*." + subject + ".*.*", "s." + subject + ".*.*"}}
	}
}

// Get reads a login; subject and session id are kept as hashes only and stay empty.
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
	return stored.record(entry.Created()), true, nil
}

// Find returns the sessions of a user or of an issuer's subject or session.
func (l *Logins) Find(ctx context.Context, q auth.LoginQuery) ([]auth.KnownSession, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	var found []auth.KnownSession
	for _, keys := range filters(q) {
		var err error
		if found, err = l.find(ctx, keys, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// find appends what is under one of the keys.
func (l *Logins) find(ctx context.Context, keys []string, found []auth.KnownSession) ([]auth.KnownSession, error) {
	w, err := natskit.Use(ctx, l.bucket, func(kv jetstream.KeyValue) (jetstream.KeyWatcher, error) {
		return kv.WatchFiltered(ctx, keys, jetstream.IgnoreDeletes())
	})
	if err != nil {
		return nil, err
	}
	defer func() { go func() { _ = w.Stop() }() }()
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
