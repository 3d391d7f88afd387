package fanouttest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.PendingIndex = (*Pending)(nil)

// Pending is a pending index in memory.
type Pending struct {
	mu       sync.Mutex
	revision uint64
	m        map[string][]fanout.PendingRequest
}

// NewPending makes an empty index.
func NewPending() *Pending { return &Pending{m: map[string][]fanout.PendingRequest{}} }

// Add implements the port.
func (x *Pending) Add(_ context.Context, clientID, requestID string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.revision++
	x.m[clientID] = append(x.m[clientID], fanout.PendingRequest{RequestID: requestID, Revision: x.revision})
	return nil
}

// List implements the port.
func (x *Pending) List(_ context.Context, clientID string) ([]fanout.PendingRequest, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.m[clientID]), nil
}

// Delete implements the port.
func (x *Pending) Delete(_ context.Context, clientID, requestID string) error {
	return x.remove(clientID, func(p fanout.PendingRequest) bool { return p.RequestID == requestID })
}

// DeleteThrough implements the port.
func (x *Pending) DeleteThrough(_ context.Context, clientID string, revision uint64) error {
	return x.remove(clientID, func(p fanout.PendingRequest) bool { return p.Revision <= revision })
}

func (x *Pending) remove(clientID string, drop func(fanout.PendingRequest) bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.m[clientID] = slices.DeleteFunc(slices.Clone(x.m[clientID]), drop)
	return nil
}

var _ fanout.Sessions = (*Sessions)(nil)

// Sessions is an authority in memory. A token that it was told nothing of is no session.
type Sessions struct {
	mu    sync.Mutex
	ends  map[string]time.Time
	err   error
	asked int
	hangs bool
}

// Hang makes every question last as long as whoever asks it waits.
func (s *Sessions) Hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = true
}

// NewSessions makes an authority that knows no session.
func NewSessions() *Sessions { return &Sessions{ends: map[string]time.Time{}} }

// Set makes a session end then.
func (s *Sessions) Set(token string, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends[token] = end
}

// Fail makes every question fail with err, until Fail(nil).
func (s *Sessions) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Asked returns how often it was asked.
func (s *Sessions) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Recheck implements the port.
func (s *Sessions) Recheck(ctx context.Context, token authwire.Token) (*authwire.Session, error) {
	s.mu.Lock()
	s.asked++
	hangs := s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	end, ok := s.ends[token.Reveal()]
	if !ok || !time.Now().Before(end) {
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
	return &authwire.Session{ExpiresAt: end}, nil
}

var _ fanout.CallbackRelay = (*Relay)(nil)

// Relay is a relay in memory.
type Relay struct {
	mu      sync.Mutex
	waiting map[string]func([]byte)
	err     error
}

// NewRelay makes a relay on which nobody waits.
func NewRelay() *Relay { return &Relay{waiting: map[string]func([]byte){}} }

// Wait makes somebody wait for a request.
func (r *Relay) Wait(requestID string, take func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[requestID] = take
}

// Fail makes Deliver fail with err.
func (r *Relay) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Deliver implements the port.
func (r *Relay) Deliver(_ context.Context, requestID string, body []byte) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	take := r.waiting[requestID]
	if r.err != nil || take == nil {
		return false, r.err
	}
	take(body)
	return true, nil
}

// ErrGone is what a fake connection answers when it is broken.
var ErrGone = errors.New("peer gone")

var _ fanout.Conn = (*Conn)(nil)

// Conn is a connection that records what is sent.
type Conn struct {
	mu     sync.Mutex
	sent   []fanout.Outgoing
	broken bool
	closed bool
	slow   func()
}

// Slow calls f before each send, for a client that takes its time.
func (c *Conn) Slow(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = f
}

// Break makes the next send fail.
func (c *Conn) Break() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
}

// Send implements the port.
func (c *Conn) Send(messages []fanout.Outgoing) error {
	c.mu.Lock()
	slow := c.slow
	c.mu.Unlock()
	if slow != nil {
		slow()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken || c.closed {
		return ErrGone
	}
	c.sent = append(c.sent, messages...)
	return nil
}

// Close implements the port.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// Sent returns what was sent, by event name; none for all.
func (c *Conn) Sent(events ...string) []fanout.Outgoing {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []fanout.Outgoing
	for _, m := range c.sent {
		if len(events) == 0 || slices.Contains(events, m.Event) {
			out = append(out, m)
		}
	}
	return out
}

// Closed reports whether the connection was closed.
func (c *Conn) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
