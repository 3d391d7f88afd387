// Package natspending calls event-fanout over NATS.
package natspending

import (
	"context"
	"time"

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

// tryFor is how long one replica may take. All three operations are idempotent, and NATS may need
// 15 s to find out that a replica is gone: the next try may reach another one.
const tryFor = 2 * time.Second

func again(ctx context.Context, call func(context.Context) error) error {
	for {
		tctx, cancel := context.WithTimeout(ctx, tryFor)
		err := call(tctx)
		late := tctx.Err() != nil
		cancel()
		if err == nil || !late || ctx.Err() != nil {
			return err
		}
	}
}

// Expect implements the port.
func (p *Pending) Expect(ctx context.Context, in fanoutwire.ExpectRequest) error {
	return again(ctx, func(ctx context.Context) error {
		_, err := natskit.Call[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](ctx, p.calls, callee, fanoutwire.SubjectExpect, in)
		return err
	})
}

// Bind implements the port.
func (p *Pending) Bind(ctx context.Context, in fanoutwire.BindRequest) error {
	return again(ctx, func(ctx context.Context) error {
		_, err := natskit.Call[fanoutwire.BindRequest, fanoutwire.BindResponse](ctx, p.calls, callee, fanoutwire.SubjectBind, in)
		return err
	})
}

// Abandon implements the port.
func (p *Pending) Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error {
	return again(ctx, func(ctx context.Context) error {
		_, err := natskit.Call[fanoutwire.AbandonRequest, fanoutwire.AbandonResponse](ctx, p.calls, callee, fanoutwire.SubjectAbandon, in)
		return err
	})
}
