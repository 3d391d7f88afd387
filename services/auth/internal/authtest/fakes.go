// Package authtest holds memory fakes of the ports of auth, and the conformance suite of each.
package authtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// Unavailable is what fakes answer while they are down.
func Unavailable() error { return fault.New(fault.Unavailable, "down", "down for a test") }

var (
	_ auth.Backend      = (*Backend)(nil)
	_ auth.SessionEnder = (*Backend)(nil)
)

// Backend keeps sessions in memory. Its hooks, if set, run first and their error is the
// answer. It is safe for concurrent use; set the hooks before.
type Backend struct {
	Validating func(context.Context) error
	Open       func(auth.Opened) auth.Opened // changes what a login answers
	Decide     func(auth.AccessQuestion) (auth.Decision, error)
	Asked      atomic.Int32 // validations

	mu       sync.Mutex
	sessions map[auth.Token]auth.Session
	grants   []auth.Grant
}

// NewBackend makes a backend.
func NewBackend() *Backend { return &Backend{sessions: map[auth.Token]auth.Session{}} }

// Add makes a token a session.
func (b *Backend) Add(t auth.Token, s auth.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions[t] = s
}

// Grants returns what logins asked for.
func (b *Backend) Grants() []auth.Grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]auth.Grant(nil), b.grants...)
}

// Login opens a session.
func (b *Backend) Login(ctx context.Context, g auth.Grant) (auth.Opened, error) {
	if err := ctx.Err(); err != nil {
		return auth.Opened{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grants = append(b.grants, g)
	o := auth.Opened{Token: authwire.NewToken(fmt.Sprintf("session-%d", len(b.grants))), Session: auth.Session{
		User: auth.User{
			ID:    7,
			Email: g.Identity.Email,
			Roles: []string{"viewer"},
		},
		ExpiresAt: time.Now().Add(g.Duration),
	}}
	b.sessions[o.Token] = o.Session
	if b.Open != nil {
		o = b.Open(o)
	}
	return o, nil
}

// Validate looks a session up.
func (b *Backend) Validate(ctx context.Context, t auth.Token) (auth.Session, error) {
	b.Asked.Add(1)
	if b.Validating != nil {
		if err := b.Validating(ctx); err != nil {
			return auth.Session{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.sessions[t]
	if !ok {
		return auth.Session{}, auth.ErrNoSession
	}
	return s, nil
}

// Access allows all but demo/fail.
func (b *Backend) Access(_ context.Context, q auth.AccessQuestion) (auth.Decision, error) {
	if b.Decide != nil {
		return b.Decide(q)
	}
	return auth.Decision{Allowed: q.Path != "demo/fail"}, nil
}

// EndSession deletes a session.
func (b *Backend) EndSession(_ context.Context, t auth.Token) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, t)
	return nil
}

var _ auth.SessionCache = (*SessionCache)(nil)

// SessionCache is a cache in memory. It is safe for concurrent use.
type SessionCache struct {
	Down atomic.Bool

	mu      sync.Mutex
	records map[auth.Token]auth.Record
}

// NewSessionCache makes a cache.
func NewSessionCache() *SessionCache { return &SessionCache{records: map[auth.Token]auth.Record{}} }

// Put writes any record.
func (c *SessionCache) Put(t auth.Token, r auth.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records[t] = r
}

// Get reads a record.
func (c *SessionCache) Get(_ context.Context, t auth.Token) (auth.Record, bool, error) {
	if c.Down.Load() {
		return auth.Record{}, false, Unavailable()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.records[t]
	return r, ok, nil
}

// Renew writes a live record over a live one.
func (c *SessionCache) Renew(_ context.Context, t auth.Token, s auth.Session) error {
	if c.Down.Load() {
		return Unavailable()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.records[t]; ok && !old.Active {
		return nil
	}
	c.records[t] = auth.Record{Session: s, Active: true}
	return nil
}

// Fill writes a live record unless there is one.
func (c *SessionCache) Fill(_ context.Context, t auth.Token, s auth.Session) error {
	if c.Down.Load() {
		return Unavailable()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.records[t]; !ok {
		c.records[t] = auth.Record{Session: s, Active: true}
	}
	return nil
}

// Deactivate writes an ended record.
func (c *SessionCache) Deactivate(_ context.Context, t auth.Token, s auth.Session) error {
	if c.Down.Load() {
		return Unavailable()
	}
	c.Put(t, auth.Record{Session: s})
	return nil
}

var _ auth.SessionStore = (*SessionStore)(nil)

// SessionStore keeps local sessions in memory. It is safe for concurrent use.
type SessionStore struct {
	mu       sync.Mutex
	sessions map[auth.Token]auth.LocalSession
}

// NewSessionStore makes an empty store.
func NewSessionStore() *SessionStore {
	return &SessionStore{sessions: map[auth.Token]auth.LocalSession{}}
}

// Create stores a session.
func (s *SessionStore) Create(ctx context.Context, t auth.Token, l auth.LocalSession) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[t]; ok {
		return fault.New(fault.Conflict, "session_exists", "exists")
	}
	s.sessions[t] = l
	return nil
}

// Get reads a session.
func (s *SessionStore) Get(_ context.Context, t auth.Token) (auth.LocalSession, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.sessions[t]
	if !ok || !time.Now().Before(l.ExpiresAt) {
		return auth.LocalSession{}, false, nil
	}
	return l, true, nil
}

// Delete ends a session.
func (s *SessionStore) Delete(_ context.Context, t auth.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, t)
	return nil
}

var _ auth.PolicySource = (*PolicySource)(nil)

// PolicySource holds a policy that a test may replace.
type PolicySource struct{ P atomic.Pointer[auth.Policy] }

// Current returns the policy.
func (s *PolicySource) Current() *auth.Policy { return s.P.Load() }

var _ auth.Meter = (*Meter)(nil)

// Meter keeps the counts. It is safe for concurrent use.
type Meter struct {
	mu     sync.Mutex
	counts map[string]int
}

// NewMeter makes a meter.
func NewMeter() *Meter { return &Meter{counts: map[string]int{}} }

// Count returns a count by operation (login, check, access, cache) and outcome or stage.
func (m *Meter) Count(operation, outcome string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[operation+" "+outcome]
}

func (m *Meter) add(operation, outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[operation+" "+outcome]++
}

// Login counts a login.
func (m *Meter) Login(o auth.Outcome) { m.add("login", string(o)) }

// SessionCheck counts a session check.
func (m *Meter) SessionCheck(o auth.Outcome) { m.add("check", string(o)) }

// Access counts an access check.
func (m *Meter) Access(o auth.Outcome) { m.add("access", string(o)) }

// CacheFailed counts a failure of the cache.
func (m *Meter) CacheFailed(s auth.Stage) { m.add("cache", string(s)) }
