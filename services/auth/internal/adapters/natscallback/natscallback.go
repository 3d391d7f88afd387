// Package natscallback waits for the answers that auth playbooks send back: over NATS
// themselves, or by HTTP to event-fanout, which hands them on over NATS.
package natscallback

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
)

// Callbacks subscribes per request, so that an answer arrives at the replica that waits for
// it, whichever sent it on. It is safe for concurrent use.
type Callbacks struct {
	nc     *nats.Conn
	prefix string
}

// flushTimeout bounds how long the server may take to confirm a subscription.
const flushTimeout = 2 * time.Second

// New makes the adapter. prefix is the subject before the request id, with or without its
// trailing dot.
func New(nc *nats.Conn, prefix string) *Callbacks {
	return &Callbacks{nc: nc, prefix: strings.TrimSuffix(prefix, ".") + "."}
}

// Subject returns where the answer to a request is awaited.
func (c *Callbacks) Subject(requestID string) string { return c.prefix + requestID }

// Expect subscribes to both subjects and returns when the server knows. stop ends that and must be called.
func (c *Callbacks) Expect(ctx context.Context, requestID string) (awaited <-chan []byte, stop func(), err error) {
	answers := make(chan []byte, 1)
	receive := func(m *nats.Msg) {
		select {
		case answers <- m.Data:
		default: // a second answer: the first counts
		}
		if m.Reply != "" {
			_ = m.Respond([]byte(`{"delivered":true}`)) // event-fanout has its own deadline
		}
	}
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // fails only when the connection is gone, and the interest with it
		}
	}
	for _, subject := range []string{c.Subject(requestID), authwire.SubjectCallback + requestID} {
		sub, err := c.nc.Subscribe(subject, receive)
		if err != nil {
			stop()
			return nil, nil, natskit.AsFault(err)
		}
		subs = append(subs, sub)
	}
	fctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := c.nc.FlushWithContext(fctx); err != nil {
		stop()
		return nil, nil, natskit.AsFault(err)
	}
	return answers, stop, nil
}
