package authtest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/services/auth/internal/auth"
)

type switchable = atomic.Bool

var _ auth.Logins = (*Logins)(nil)

// Logins are in memory. It is safe for concurrent use.
type Logins struct {
	Down switchable

	mu      sync.Mutex
	records map[auth.Key]auth.LoginRecord
}

// NewLogins makes an empty store.
func NewLogins() *Logins { return &Logins{records: map[auth.Key]auth.LoginRecord{}} }

// Record stores a login.
func (l *Logins) Record(_ context.Context, k auth.Key, r auth.LoginRecord) error {
	if l.Down.Load() {
		return Unavailable()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.At = time.Now()
	l.records[k] = r
	return nil
}

// Get reads a login.
func (l *Logins) Get(_ context.Context, k auth.Key) (auth.LoginRecord, bool, error) {
	if l.Down.Load() {
		return auth.LoginRecord{}, false, Unavailable()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.records[k]
	return r, ok, nil
}

// Find looks at every login.
func (l *Logins) Find(_ context.Context, q auth.LoginQuery) ([]auth.KnownSession, error) {
	if l.Down.Load() {
		return nil, Unavailable()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []auth.KnownSession
	for k, r := range l.records {
		var match bool
		switch {
		case q.User != "":
			match = slices.Contains(r.Users, q.User)
		case q.SessionID != "":
			match = q.Issuer == r.Issuer && q.SessionID == r.SessionID
		default:
			match = q.Subject != "" && q.Issuer == r.Issuer && q.Subject == r.Subject
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

// Flows keep flows and spent ids in memory. It is safe for concurrent use.
type Flows struct {
	Down switchable

	mu    sync.Mutex
	flows map[string]keptFlow
	spent map[string]time.Time
}

type keptFlow struct {
	auth.Flow
	until time.Time
}

// NewFlows makes an empty store.
func NewFlows() *Flows { return &Flows{flows: map[string]keptFlow{}, spent: map[string]time.Time{}} }

// Begin stores a flow.
func (f *Flows) Begin(_ context.Context, state string, in auth.Flow, life time.Duration) error {
	if f.Down.Load() {
		return Unavailable()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flows[state] = keptFlow{in, time.Now().Add(life)}
	return nil
}

// Get reads a flow.
func (f *Flows) Get(_ context.Context, state string) (auth.Flow, bool, error) {
	if f.Down.Load() {
		return auth.Flow{}, false, Unavailable()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	kept, ok := f.flows[state]
	if !ok || !time.Now().Before(kept.until) {
		return auth.Flow{}, false, nil
	}
	return kept.Flow, true, nil
}

// Take deletes a flow.
func (f *Flows) Take(_ context.Context, state string) (bool, error) {
	if f.Down.Load() {
		return false, Unavailable()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.flows[state]
	delete(f.flows, state)
	return ok, nil
}

// IsSpent looks an id up.
func (f *Flows) IsSpent(_ context.Context, id string) (bool, error) {
	if f.Down.Load() {
		return false, Unavailable()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	until, ok := f.spent[id]
	return ok && time.Now().Before(until), nil
}

// Spend stores an id.
func (f *Flows) Spend(_ context.Context, id string, until time.Time) error {
	if f.Down.Load() {
		return Unavailable()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spent[id] = until
	return nil
}
