// Package natspresence tells about the open streams of clients in all replicas.
package natspresence

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// subject is where the replicas ask each other for a client of a session.
const subject = "gateway.fanout.here.client"

// patience is how long the other replicas are waited for. Those that have no such client say nothing.
const patience = 300 * time.Millisecond

// Hub is what this process knows: the streams that it has.
type Hub interface {
	// ClientOf returns a client of the session with an open stream: the one with the id, or any for "".
	ClientOf(session authwire.TokenKey, client string) (string, bool)
	// Token returns the session token of an open stream of the client.
	Token(client string) (authwire.Token, bool)
}

// Feed tells whether any replica has a client.
type Feed interface {
	Present(ctx context.Context, client string) (bool, error)
}

var _ subscriptions.Connections = (*Connections)(nil)

// Connections is the adapter. It is safe for concurrent use; [Connections.Run] answers the other replicas.
type Connections struct {
	nc   *nats.Conn
	hub  Hub
	feed Feed
}

// New makes the adapter.
func New(nc *nats.Conn, hub Hub, feed Feed) *Connections {
	return &Connections{nc: nc, hub: hub, feed: feed}
}

type question struct {
	Session string `json:"session"` // hash of the token
	Client  string `json:"client,omitempty"`
}

// ClientOf implements the port. Only a client that this process does not have is asked for elsewhere, and then once
// more: a stream tells its client's id a moment before it can be found.
func (c *Connections) ClientOf(ctx context.Context, session authwire.TokenKey, client string) (string, bool, error) {
	for range tries {
		if id, found, err := c.ask(ctx, session, client); found || err != nil {
			return id, found, err
		}
	}
	id, here := c.hub.ClientOf(session, client)
	return id, here, nil
}

const tries = 2

func (c *Connections) ask(ctx context.Context, session authwire.TokenKey, client string) (string, bool, error) {
	if id, here := c.hub.ClientOf(session, client); here {
		return id, true, nil
	}
	data, err := json.Marshal(question{Session: session.String(), Client: client})
	if err != nil {
		return "", false, err
	}
	if !c.nc.IsConnected() {
		return "", false, nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := c.nc.RequestWithContext(ctx, subject, data)
	if err != nil { // nobody has it, or nobody said so in time
		return "", false, nil
	}
	return string(reply.Data), true, nil
}

// Present implements the port.
func (c *Connections) Present(ctx context.Context, client string) (bool, error) {
	return c.feed.Present(ctx, client)
}

// Token implements the port.
func (c *Connections) Token(client string) (authwire.Token, bool) { return c.hub.Token(client) }

// Run answers the other replicas until ctx ends.
func (c *Connections) Run(ctx context.Context) error {
	sub, err := c.nc.Subscribe(subject, func(m *nats.Msg) {
		var q question
		if json.Unmarshal(m.Data, &q) != nil {
			return
		}
		key, ok := authwire.ParseTokenKey(q.Session)
		if !ok {
			return
		}
		if id, here := c.hub.ClientOf(key, q.Client); here {
			_ = m.Respond([]byte(id))
		}
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return sub.Unsubscribe()
}
