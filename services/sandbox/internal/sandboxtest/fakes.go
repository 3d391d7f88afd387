// Package sandboxtest holds fakes of the domain's ports, and the conformance suite that
// every implementation of a port must pass.
package sandboxtest

import (
	"context"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

var _ sandbox.EventPublisher = (*Events)(nil)

// Events keeps events in memory.
type Events struct {
	stored fake.List[sandbox.Event]
	seen   fake.Map[int64, bool]
	down   atomic.Bool
}

// Down makes it fail as NATS does when it is unavailable, or work again.
func (f *Events) Down(down bool) { f.down.Store(down) }

// Publish keeps an event once.
func (f *Events) Publish(_ context.Context, e sandbox.Event) error {
	if f.down.Load() {
		return fault.New(fault.Unavailable, "nats_unavailable", "unavailable")
	}
	if f.seen.Create(e.ID, true) {
		f.stored.Add(e)
	}
	return nil
}

// All returns the events, in order.
func (f *Events) All() []sandbox.Event { return f.stored.All() }

// Stored returns the events as "type node status", in order.
func (f *Events) Stored() []string {
	out := []string{}
	for _, e := range f.All() {
		out = append(out, Line(e.Type, e.Node, e.Status))
	}
	return out
}

// Line is the short form of an event.
func Line(kind, node, status string) string { return kind + " " + node + " " + status }

var _ sandbox.CallbackSender = (*Callbacks)(nil)

// Callbacks keeps callbacks in memory. It allows loopback only.
type Callbacks struct {
	// Answer, if not nil, decides about each try.
	Answer func(sandbox.Callback) error
	sent   fake.List[sandbox.Callback]
	tries  atomic.Int32
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
	f.tries.Add(1)
	if f.Answer != nil {
		if err := f.Answer(c); err != nil {
			return err
		}
	}
	f.sent.Add(c)
	return nil
}

// Sent returns what arrived, in order.
func (f *Callbacks) Sent() []sandbox.Callback { return f.sent.All() }

// Tries returns how often something was sent, arrived or not.
func (f *Callbacks) Tries() int { return int(f.tries.Load()) }

var _ sandbox.SessionWriter = (*Sessions)(nil)

// Sessions keeps session records in memory.
type Sessions struct {
	records fake.Map[string, sandbox.SessionRecord]
}

// Put keeps a record.
func (f *Sessions) Put(_ context.Context, r sandbox.SessionRecord) error {
	f.records.Put(r.SessionToken, r)
	return nil
}

// Get returns the record of a token.
func (f *Sessions) Get(token string) (sandbox.SessionRecord, bool) { return f.records.Get(token) }
