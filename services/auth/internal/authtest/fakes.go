// Package authtest holds memory fakes of the ports of auth, and the conformance suite of each.
package authtest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// Unavailable is what fakes answer while they are down.
func Unavailable() error { return fault.New(fault.Unavailable, "down", "down for a test") }

// outage is the switch of fakes that can be down.
type failing struct{ Down atomic.Bool }

func (o *failing) err() error {
	if o.Down.Load() {
		return Unavailable()
	}
	return nil
}

var (
	_ auth.Backend           = (*Backend)(nil)
	_ auth.ResourceAuthority = (*Backend)(nil)
	_ auth.SessionEnder      = (*Backend)(nil)
)

// Backend keeps sessions in memory. Its hooks, if set, run first and their error is the
// answer. It is safe for concurrent use; set the hooks before.
type Backend struct {
	Validating     func(context.Context) error
	Open           func(auth.Opened) auth.Opened // changes what a login answers
	Decide         func(auth.AccessQuestion) (auth.Decision, error)
	DecideResource func(auth.ResourceQuestion) (auth.Decision, error)
	Asked          atomic.Int32          // validations
	Grants         fake.List[auth.Grant] // what logins asked for
	sessions       fake.Map[auth.Token, auth.Session]
}

// Add makes a token a session.
func (b *Backend) Add(t auth.Token, s auth.Session) { b.sessions.Put(t, s) }

// Login opens a session.
func (b *Backend) Login(ctx context.Context, g auth.Grant) (auth.Opened, error) {
	if err := ctx.Err(); err != nil {
		return auth.Opened{}, err
	}
	o := auth.Opened{Token: authwire.NewToken(fmt.Sprintf("session-%d", b.Grants.Add(g))), Session: auth.Session{
		User:      auth.User{ID: 7, Email: g.Identity.Email, Roles: []string{"viewer"}},
		ExpiresAt: time.Now().Add(g.Duration),
	}}
	b.sessions.Put(o.Token, o.Session)
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
	if s, ok := b.sessions.Get(t); ok {
		return s, nil
	}
	return auth.Session{}, auth.ErrNoSession
}

// Access allows all but demo/fail.
func (b *Backend) Access(_ context.Context, q auth.AccessQuestion) (auth.Decision, error) {
	if b.Decide != nil {
		return b.Decide(q)
	}
	return auth.Decision{Allowed: q.Path != "demo/fail"}, nil
}

// Resource allows what Firestore has in users/<the user's id>.
func (b *Backend) Resource(ctx context.Context, q auth.ResourceQuestion) (auth.Decision, error) {
	if err := ctx.Err(); err != nil {
		return auth.Decision{}, err
	}
	if b.DecideResource != nil {
		return b.DecideResource(q)
	}
	own := fmt.Sprintf("users/%d/", q.Session.User.ID)
	return auth.Decision{
		Allowed: q.Resource.Source == auth.SourceFirestore && strings.HasPrefix(q.Resource.Path, own),
	}, nil
}

// EndSession deletes a session.
func (b *Backend) EndSession(_ context.Context, t auth.Token) error {
	b.sessions.Take(t)
	return nil
}

var _ auth.SessionCache = (*SessionCache)(nil)

// SessionCache is a cache in memory.
type SessionCache struct {
	failing
	records fake.Map[auth.Token, auth.Record]
}

// Put writes any record.
func (c *SessionCache) Put(t auth.Token, r auth.Record) { c.records.Put(t, r) }

// Get reads a record.
func (c *SessionCache) Get(_ context.Context, t auth.Token) (auth.Record, bool, error) {
	if err := c.err(); err != nil {
		return auth.Record{}, false, err
	}
	r, ok := c.records.Get(t)
	return r, ok, nil
}

// put writes a record unless keep wants the one that is there.
func (c *SessionCache) put(t auth.Token, r auth.Record, keep func(old auth.Record) bool) error {
	if err := c.err(); err != nil {
		return err
	}
	c.records.Change(t, func(old auth.Record, found bool) (auth.Record, bool) { return r, !found || !keep(old) })
	return nil
}

// Renew writes a live record over a live one.
func (c *SessionCache) Renew(_ context.Context, t auth.Token, s auth.Session) error {
	return c.put(t, auth.Record{Session: s, Active: true}, func(old auth.Record) bool { return !old.Active })
}

// Fill writes a live record unless there is one.
func (c *SessionCache) Fill(_ context.Context, t auth.Token, s auth.Session) error {
	return c.put(t, auth.Record{Session: s, Active: true}, func(auth.Record) bool { return true })
}

// Deactivate writes an ended record.
func (c *SessionCache) Deactivate(_ context.Context, t auth.Token, s auth.Session) error {
	return c.put(t, auth.Record{Session: s}, func(auth.Record) bool { return false })
}

var _ auth.SessionStore = (*SessionStore)(nil)

// SessionStore keeps local sessions in memory.
type SessionStore struct {
	sessions fake.Map[auth.Token, auth.LocalSession]
}

// Create stores a session.
func (s *SessionStore) Create(ctx context.Context, t auth.Token, l auth.LocalSession) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.sessions.Create(t, l) {
		return fault.New(fault.Conflict, "session_exists", "exists")
	}
	return nil
}

// Get reads a session.
func (s *SessionStore) Get(_ context.Context, t auth.Token) (auth.LocalSession, bool, error) {
	if l, ok := s.sessions.Get(t); ok && time.Now().Before(l.ExpiresAt) {
		return l, true, nil
	}
	return auth.LocalSession{}, false, nil
}

// Delete ends a session.
func (s *SessionStore) Delete(_ context.Context, t auth.Token) error {
	s.sessions.Take(t)
	return nil
}

var _ auth.PolicySource = (*PolicySource)(nil)

// PolicySource holds a policy that a test may replace.
type PolicySource struct{ P atomic.Pointer[auth.Policy] }

// Current returns the policy.
func (s *PolicySource) Current() *auth.Policy { return s.P.Load() }

var _ auth.Meter = (*Meter)(nil)

// Meter keeps the counts.
type Meter struct{ counts fake.Map[string, int] }

// Count returns a count by operation (login, check, access, cache) and outcome or stage.
func (m *Meter) Count(operation, outcome string) int {
	n, _ := m.counts.Get(operation + " " + outcome)
	return n
}

func (m *Meter) add(operation, outcome string) {
	m.counts.Change(operation+" "+outcome, func(n int, _ bool) (int, bool) { return n + 1, true })
}

// Login counts a login.
func (m *Meter) Login(o auth.Outcome) { m.add("login", string(o)) }

// SessionCheck counts a session check.
func (m *Meter) SessionCheck(o auth.Outcome) { m.add("check", string(o)) }

// Access counts an access check.
func (m *Meter) Access(o auth.Outcome) { m.add("access", string(o)) }

// CacheFailed counts a failure of the cache.
func (m *Meter) CacheFailed(s auth.Stage) { m.add("cache", string(s)) }
