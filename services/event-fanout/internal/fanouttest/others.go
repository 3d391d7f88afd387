package fanouttest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.PendingIndex = (*Pending)(nil)

// Pending is a pending index in memory.
type Pending struct {
	revision atomic.Uint64
	clients  fake.Map[string, []fanout.PendingRequest]
}

// NewPending makes an empty index.
func NewPending() *Pending { return &Pending{} }

func (x *Pending) change(clientID string, f func([]fanout.PendingRequest) []fanout.PendingRequest) error {
	x.clients.Change(clientID, func(old []fanout.PendingRequest, _ bool) ([]fanout.PendingRequest, bool) {
		return f(slices.Clone(old)), true
	})
	return nil
}

// Add implements the port.
func (x *Pending) Add(_ context.Context, clientID, requestID string) error {
	return x.change(clientID, func(now []fanout.PendingRequest) []fanout.PendingRequest {
		return append(now, fanout.PendingRequest{RequestID: requestID, Revision: x.revision.Add(1)})
	})
}

// List implements the port.
func (x *Pending) List(_ context.Context, clientID string) ([]fanout.PendingRequest, error) {
	requests, _ := x.clients.Get(clientID)
	return requests, nil
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
	return x.change(clientID, func(now []fanout.PendingRequest) []fanout.PendingRequest {
		return slices.DeleteFunc(now, drop)
	})
}

var _ fanout.Sessions = (*Sessions)(nil)

// Sessions is an authority in memory. A token that it was told nothing of is no session.
type Sessions struct {
	fake.Failing
	Hangs atomic.Bool  // every question lasts as long as whoever asks it waits
	Asked atomic.Int32 // how often it was asked
	ends  fake.Map[string, time.Time]
}

// NewSessions makes an authority that knows no session.
func NewSessions() *Sessions { return &Sessions{} }

// Set makes a session end then.
func (s *Sessions) Set(token string, end time.Time) { s.ends.Put(token, end) }

// Recheck implements the port.
func (s *Sessions) Recheck(ctx context.Context, token authwire.Token) (*authwire.Session, error) {
	s.Asked.Add(1)
	if s.Hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if end, _ := s.ends.Get(token.Reveal()); time.Now().Before(end) {
		return &authwire.Session{ExpiresAt: end}, nil
	}
	return nil, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
}

var _ fanout.CallbackRelay = (*Relay)(nil)

// Relay is a relay in memory.
type Relay struct {
	fake.Failing
	waiting fake.Map[string, func([]byte)]
}

// NewRelay makes a relay on which nobody waits.
func NewRelay() *Relay { return &Relay{} }

// Wait makes somebody wait for a request.
func (r *Relay) Wait(requestID string, take func([]byte)) { r.waiting.Put(requestID, take) }

// Deliver implements the port.
func (r *Relay) Deliver(_ context.Context, requestID string, body []byte) (bool, error) {
	take, waits := r.waiting.Get(requestID)
	if err := r.Err(); err != nil || !waits {
		return false, err
	}
	take(body)
	return true, nil
}

// ErrGone is what a fake connection answers when it is broken.
var ErrGone = errors.New("peer gone")

var _ fanout.Conn = (*Conn)(nil)

// Conn is a connection that records what is sent.
type Conn struct {
	Slow   fake.Value[func()] // called before each send, for a client that takes its time
	sent   fake.List[fanout.Outgoing]
	broken atomic.Bool
	closed atomic.Bool
}

// Break makes the next send fail.
func (c *Conn) Break() { c.broken.Store(true) }

// Send implements the port.
func (c *Conn) Send(messages []fanout.Outgoing) error {
	if slow := c.Slow.Get(); slow != nil {
		slow()
	}
	if c.broken.Load() || c.closed.Load() {
		return ErrGone
	}
	c.sent.Add(messages...)
	return nil
}

// Close implements the port.
func (c *Conn) Close() { c.closed.Store(true) }

// Sent returns what was sent, by event name; none for all.
func (c *Conn) Sent(events ...string) []fanout.Outgoing {
	var out []fanout.Outgoing
	for _, m := range c.sent.All() {
		if len(events) == 0 || slices.Contains(events, m.Event) {
			out = append(out, m)
		}
	}
	return out
}

// Closed reports whether the connection was closed.
func (c *Conn) Closed() bool { return c.closed.Load() }
