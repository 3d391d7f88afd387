package authtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

var _ auth.Logins = (*Logins)(nil)

// Logins are in memory.
type Logins struct {
	failing
	records fake.Map[auth.Key, auth.LoginRecord]
}

// Record stores a login.
func (l *Logins) Record(_ context.Context, k auth.Key, r auth.LoginRecord) error {
	if err := l.err(); err != nil {
		return err
	}
	r.At = time.Now()
	l.records.Put(k, r)
	return nil
}

// Get reads a login.
func (l *Logins) Get(_ context.Context, k auth.Key) (auth.LoginRecord, bool, error) {
	if err := l.err(); err != nil {
		return auth.LoginRecord{}, false, err
	}
	r, ok := l.records.Get(k)
	return r, ok, nil
}

// Page shows the logins in the order in which they came; a cursor is how many came before.
func (l *Logins) Page(_ context.Context, q auth.PageQuery) ([]auth.Login, string, error) {
	if err := l.err(); err != nil {
		return nil, "", err
	}
	from, err := strconv.Atoi(cmp.Or(q.Cursor, "0"))
	if err != nil || from < 0 {
		return nil, "", fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
	}
	var all []auth.Login
	for k, r := range l.records.All() {
		if q.User == "" || slices.Contains(r.Users, q.User) {
			all = append(all, auth.Login{LoginRecord: r, Key: k})
		}
	}
	slices.SortFunc(all, func(a, b auth.Login) int {
		return cmp.Or(a.At.Compare(b.At), bytes.Compare(a.Key[:], b.Key[:]))
	})
	all = all[min(from, len(all)):]
	if len(all) <= q.Limit {
		return all, "", nil
	}
	return all[:q.Limit], strconv.Itoa(from + q.Limit), nil
}

// Find looks at every login.
func (l *Logins) Find(_ context.Context, q auth.LoginQuery) ([]auth.KnownSession, error) {
	if err := l.err(); err != nil {
		return nil, err
	}
	var found []auth.KnownSession
	for k, r := range l.records.All() {
		match := q.Subject != "" && q.Issuer == r.Issuer && q.Subject == r.Subject
		switch {
		case q.User != "":
			match = slices.Contains(r.Users, q.User)
		case q.SessionID != "":
			match = q.Issuer == r.Issuer && q.SessionID == r.SessionID
		}
		if match {
			found = append(found, auth.KnownSession{Key: k, ExpiresAt: r.ExpiresAt, HasSessionID: r.SessionID != ""})
		}
	}
	return found, nil
}

var (
	_ auth.Flows = (*Flows)(nil)
	_ auth.Spent = (*Flows)(nil)
)

// Flows keep flows and spent ids in memory.
type Flows struct {
	failing
	flows fake.Map[string, flow]
	spent fake.Map[string, time.Time]
}

type flow struct {
	auth.Flow
	until time.Time
}

// Begin stores a flow.
func (f *Flows) Begin(_ context.Context, state string, in auth.Flow, life time.Duration) error {
	if err := f.err(); err != nil {
		return err
	}
	f.flows.Put(state, flow{in, time.Now().Add(life)})
	return nil
}

// Get reads a flow.
func (f *Flows) Get(_ context.Context, state string) (auth.Flow, bool, error) {
	got, ok := f.flows.Get(state)
	if err := f.err(); err != nil || !ok || !time.Now().Before(got.until) {
		return auth.Flow{}, false, err
	}
	return got.Flow, true, nil
}

// Take deletes a flow.
func (f *Flows) Take(_ context.Context, state string) (bool, error) {
	if err := f.err(); err != nil {
		return false, err
	}
	_, ok := f.flows.Take(state)
	return ok, nil
}

// IsSpent looks an id up.
func (f *Flows) IsSpent(_ context.Context, id string) (bool, error) {
	until, _ := f.spent.Get(id)
	err := f.err()
	return err == nil && time.Now().Before(until), err
}

// Spend stores an id.
func (f *Flows) Spend(_ context.Context, id string, until time.Time) error {
	if err := f.err(); err != nil {
		return err
	}
	f.spent.Put(id, until)
	return nil
}

var _ auth.Revocations = (*Revocations)(nil)

// Revocations are in memory.
type Revocations struct {
	failing
	until fake.Map[auth.Key, time.Time]
	users fake.Map[authwire.UserKey, time.Time]
}

// Revoke stores a revocation.
func (r *Revocations) Revoke(_ context.Context, k auth.Key, until time.Time) error {
	if err := r.err(); err != nil {
		return err
	}
	r.until.Create(k, until)
	return nil
}

// Revoked looks a revocation up.
func (r *Revocations) Revoked(_ context.Context, k auth.Key) (bool, error) {
	until, _ := r.until.Get(k)
	err := r.err()
	return err == nil && time.Now().Before(until), err
}

// RevokeUser stores the end of all sessions of a user.
func (r *Revocations) RevokeUser(_ context.Context, u authwire.UserKey, _ time.Time) error {
	if err := r.err(); err != nil {
		return err
	}
	r.users.Put(u, time.Now())
	return nil
}

// UserRevoked looks the last end up.
func (r *Revocations) UserRevoked(_ context.Context, users []authwire.UserKey) (time.Time, error) {
	var last time.Time
	for _, u := range users {
		if at, _ := r.users.Get(u); at.After(last) {
			last = at
		}
	}
	if err := r.err(); err != nil {
		return time.Time{}, err
	}
	return last, nil
}

// None looks whether there is nothing of either.
func (r *Revocations) None(ctx context.Context, k auth.Key, users []authwire.UserKey) (bool, error) {
	revoked, err := r.Revoked(ctx, k)
	if revoked || err != nil {
		return false, err
	}
	at, err := r.UserRevoked(ctx, users)
	return at.IsZero() && err == nil, err
}

// Ended looks for several.
func (r *Revocations) Ended(
	ctx context.Context, sessions []auth.Key, users []authwire.UserKey,
) (revoked map[auth.Key]bool, cleared map[authwire.UserKey]time.Time, err error) {
	revoked, cleared = map[auth.Key]bool{}, map[authwire.UserKey]time.Time{}
	for _, k := range sessions {
		if ended, _ := r.Revoked(ctx, k); ended {
			revoked[k] = true
		}
	}
	for _, u := range users {
		if at, ended := r.users.Get(u); ended {
			cleared[u] = at
		}
	}
	return revoked, cleared, r.err()
}

// Until returns to when a token is revoked.
func (r *Revocations) Until(t auth.Token) (time.Time, bool) { return r.until.Get(t.Key()) }

var _ auth.Bearers = (*Bearers)(nil)

// Bearers are in memory.
type Bearers struct {
	failing
	Full    atomic.Bool // has no room for another record
	records fake.Map[string, bearer]
}

type bearer struct {
	sealed []byte
	until  time.Time
}

// Get reads a record.
func (b *Bearers) Get(_ context.Context, name string) ([]byte, bool, error) {
	if err := b.err(); err != nil {
		return nil, false, err
	}
	r, ok := b.records.Get(name)
	if !ok || !time.Now().Before(r.until) {
		return nil, false, nil
	}
	return r.sealed, true, nil
}

// Create stores a record.
func (b *Bearers) Create(_ context.Context, name string, sealed []byte, until time.Time) (bool, error) {
	if err := b.err(); err != nil {
		return false, err
	}
	if b.Full.Load() {
		full := fault.New(fault.Unavailable, "store_full", "there is no room left").After(30 * time.Second)
		return false, errors.Join(auth.ErrNotStored, full)
	}
	return b.records.Create(name, bearer{bytes.Clone(sealed), until}), nil
}

// All returns the records by their names.
func (b *Bearers) All() map[string][]byte {
	all := map[string][]byte{}
	for name, r := range b.records.All() {
		all[name] = r.sealed
	}
	return all
}
