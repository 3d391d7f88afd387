// Package natspending calls event-fanout over NATS.
package natspending

import (
	"context"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Pending = (*Pending)(nil)

// Pending is the NATS adapter. It is safe for concurrent use.
type Pending struct{ calls *natskit.Client }

// New makes the adapter.
func New(calls *natskit.Client) *Pending { return &Pending{calls: calls} }

const callee = "event-fanout"

// Expect implements the port.
func (p *Pending) Expect(ctx context.Context, in fanoutwire.ExpectRequest) error {
	_, err := natskit.Call[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](ctx, p.calls, callee, fanoutwire.SubjectExpect, in)
	return err
}

// Bind implements the port.
func (p *Pending) Bind(ctx context.Context, in fanoutwire.BindRequest) error {
	_, err := natskit.Call[fanoutwire.BindRequest, fanoutwire.BindResponse](ctx, p.calls, callee, fanoutwire.SubjectBind, in)
	return err
}

// Abandon implements the port.
func (p *Pending) Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error {
	_, err := natskit.Call[fanoutwire.AbandonRequest, fanoutwire.AbandonResponse](ctx, p.calls, callee, fanoutwire.SubjectAbandon, in)
	return err
}
