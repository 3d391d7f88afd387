package fanouttest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.PendingIndex = (*Pending)(nil)

// Pending is a pending index in memory.
type Pending struct {
	mu sync.Mutex
	m  map[string][]string
}

// NewPending makes an empty index.
func NewPending() *Pending { return &Pending{m: map[string][]string{}} }

// Add implements the port.
func (x *Pending) Add(_ context.Context, clientID, requestID string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.m[clientID] = append(x.m[clientID], requestID)
	return nil
}

// List implements the port.
func (x *Pending) List(_ context.Context, clientID string) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.m[clientID]), nil
}

// Delete implements the port.
func (x *Pending) Delete(_ context.Context, clientID, requestID string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.m[clientID] = slices.DeleteFunc(slices.Clone(x.m[clientID]), func(id string) bool { return id == requestID })
	return nil
}

var _ fanout.EventLog = (*Events)(nil)

// Events is an event log in memory.
type Events struct {
	mu   sync.Mutex
	log  []fanout.Event
	page int
	err  error
}

// NewEvents makes an empty log.
func NewEvents() *Events { return &Events{} }

// Page makes After return at most n events.
func (l *Events) Page(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.page = n
}

// Fail makes every call fail with err, until Fail(nil).
func (l *Events) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Publish appends an event and returns it.
func (l *Events) Publish(executionID, payload string) fanout.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := fanout.Event{Seq: uint64(len(l.log) + 1), ExecutionID: executionID, Payload: []byte(payload)}
	l.log = append(l.log, e)
	return e
}

// Last implements the port.
func (l *Events) Last(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.log)), l.err
}

// After implements the port.
func (l *Events) After(_ context.Context, executionID string, seq uint64, limit int) ([]fanout.Event, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.page > 0 {
		limit = min(limit, l.page)
	}
	var out []fanout.Event
	for _, e := range l.log[min(seq, uint64(len(l.log))):] {
		if e.ExecutionID != executionID {
			continue
		}
		if len(out) == limit {
			return out, true, l.err
		}
		out = append(out, e)
	}
	return out, false, l.err
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
