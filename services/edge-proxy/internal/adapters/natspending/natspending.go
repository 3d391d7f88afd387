// Package natspending calls event-fanout over NATS.
package natspending

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Pending = (*Pending)(nil)

// Pending is the NATS adapter. It is safe for concurrent use.
type Pending struct{ calls *natskit.Client }

// New makes the adapter.
func New(calls *natskit.Client) *Pending { return &Pending{calls: calls} }

const callee = "event-fanout"

// firstTry is how long the first replica may take. All three operations are idempotent, and NATS
// may need 15 s to find out that a replica is gone: the second try may reach another one, and has
// what is left of the time, for where all are slow.
const firstTry = 1500 * time.Millisecond

// patience bounds both tries. Who asks may have a whole day, as a call of a tool has.
const patience = 10 * time.Second

func again(ctx context.Context, call func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	first, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	begin := time.Now()
	err := call(first)
	// The replica has the deadline too, and may say that it ran out before it does here.
	late := first.Err() != nil || fault.IsOutage(err) && time.Since(begin) > firstTry/2
	if err == nil || !late || ctx.Err() != nil {
		return err
	}
	return call(ctx)
}

// Expect implements the port.
func (p *Pending) Expect(ctx context.Context, in fanoutwire.ExpectRequest) error {
	return again(ctx, func(ctx context.Context) error {
		_, err := natskit.Call[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](
			ctx, p.calls, callee, fanoutwire.SubjectExpect, in,
		)
		return err
	})
}

// Bind implements the port.
func (p *Pending) Bind(ctx context.Context, in fanoutwire.BindRequest) error {
	return again(ctx, func(ctx context.Context) error {
		_, err := natskit.Call[fanoutwire.BindRequest, fanoutwire.BindResponse](
			ctx, p.calls, callee, fanoutwire.SubjectBind, in,
		)
		return err
	})
}

// Abandon implements the port.
func (p *Pending) Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error {
	return again(ctx, func(ctx context.Context) error {
		_, err := natskit.Call[fanoutwire.AbandonRequest, fanoutwire.AbandonResponse](
			ctx, p.calls, callee, fanoutwire.SubjectAbandon, in,
		)
		return err
	})
}
