package sandboxtest

import (
	"context"
	"net/url"
	"slices"
	"sync"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

var _ sandbox.EventPublisher = (*Events)(nil)

// Events keeps events in memory. While Down is set it fails as NATS does when it is unavailable.
type Events struct {
	mu     sync.Mutex
	stored []sandbox.Event
	seen   map[int64]bool
	down   bool
}

// Down makes it fail, or work again.
func (f *Events) Down(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// Publish keeps an event once.
func (f *Events) Publish(_ context.Context, e sandbox.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return fault.New(fault.Unavailable, "nats_unavailable", "unavailable")
	}
	if f.seen == nil {
		f.seen = map[int64]bool{}
	}
	if !f.seen[e.ID] {
		f.seen[e.ID] = true
		f.stored = append(f.stored, e)
	}
	return nil
}

// All returns the events, in order.
func (f *Events) All() []sandbox.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.stored)
}

// Stored returns the events as "type node status", in order.
func (f *Events) Stored() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []string{}
	for _, e := range f.stored {
		out = append(out, Line(e.Type, e.Node, e.Status))
	}
	return out
}

// Line is the short form of an event.
func Line(kind, node, status string) string { return kind + " " + node + " " + status }

var _ sandbox.CallbackSender = (*Callbacks)(nil)

// Callbacks keeps callbacks in memory. It allows loopback only.
type Callbacks struct {
	mu   sync.Mutex
	sent []sandbox.Callback
	// Answer, if not nil, decides about each try.
	Answer func(sandbox.Callback) error
	tries  int
}

// Allowed accepts http URLs on loopback.
func (f *Callbacks) Allowed(gatewayURL string) error {
	u, err := url.Parse(gatewayURL)
	if err != nil || u.Scheme != "http" || !slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname()) ||
		u.User != nil {
		return fault.New(fault.Denied, "callback_host_refused", "not on loopback")
	}
	return nil
}

// Send keeps a callback.
func (f *Callbacks) Send(_ context.Context, gatewayURL string, c sandbox.Callback) error {
	if err := f.Allowed(gatewayURL); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.Answer != nil {
		if err := f.Answer(c); err != nil {
			return err
		}
	}
	f.sent = append(f.sent, c)
	return nil
}

// Sent returns what arrived, in order.
func (f *Callbacks) Sent() []sandbox.Callback {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// Tries returns how often something was sent, arrived or not.
func (f *Callbacks) Tries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries
}

var _ sandbox.SessionWriter = (*Sessions)(nil)

// Sessions keeps session records in memory.
type Sessions struct {
	mu      sync.Mutex
	records map[string]sandbox.SessionRecord
}

// Put keeps a record.
func (f *Sessions) Put(_ context.Context, r sandbox.SessionRecord) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.records == nil {
		f.records = map[string]sandbox.SessionRecord{}
	}
	f.records[r.SessionToken] = r
	return nil
}

// Get returns the record of a token.
func (f *Sessions) Get(token string) (sandbox.SessionRecord, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.records[token]
	return r, ok
}
