// Package natsingress asks ingress about the inbox of deliveries over NATS, and hears of changes there.
package natsingress

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Deliveries = (*Deliveries)(nil)

// Deliveries is the NATS adapter. It is safe for concurrent use.
type Deliveries struct {
	calls *natskit.Client
	nc    *nats.Conn
}

// New makes the adapter.
func New(calls *natskit.Client, nc *nats.Conn) *Deliveries { return &Deliveries{calls: calls, nc: nc} }

func call[In, Out any](ctx context.Context, d *Deliveries, subject string, in In) (Out, error) {
	return natskit.Call[In, Out](ctx, d.calls, "ingress", subject, in)
}

// tell is call for an operation whose answer has no content.
func tell[In any](ctx context.Context, d *Deliveries, subject string, in In) error {
	_, err := call[In, ingresswire.Empty](ctx, d, subject, in)
	return err
}

// Listeners implements the port.
func (d *Deliveries) Listeners(ctx context.Context) (ingresswire.ListenersResponse, error) {
	return call[ingresswire.Empty, ingresswire.ListenersResponse](
		ctx, d, ingresswire.SubjectListeners, ingresswire.Empty{},
	)
}

// List implements the port.
func (d *Deliveries) List(
	ctx context.Context, in ingresswire.DeliveriesRequest,
) (ingresswire.DeliveriesResponse, error) {
	return call[ingresswire.DeliveriesRequest, ingresswire.DeliveriesResponse](
		ctx, d, ingresswire.SubjectDeliveries, in,
	)
}

// Get implements the port.
func (d *Deliveries) Get(ctx context.Context, in ingresswire.DeliveryRequest) (ingresswire.Detail, error) {
	return call[ingresswire.DeliveryRequest, ingresswire.Detail](ctx, d, ingresswire.SubjectDelivery, in)
}

// TryRules implements the port.
func (d *Deliveries) TryRules(
	ctx context.Context, in ingresswire.TryRulesRequest,
) (ingresswire.TryRulesResponse, error) {
	return call[ingresswire.TryRulesRequest, ingresswire.TryRulesResponse](ctx, d, ingresswire.SubjectTryRules, in)
}

// Redrive implements the port.
func (d *Deliveries) Redrive(ctx context.Context, in ingresswire.RedriveRequest) error {
	return tell(ctx, d, ingresswire.SubjectRedrive, in)
}

// Discard implements the port.
func (d *Deliveries) Discard(ctx context.Context, in ingresswire.DiscardRequest) error {
	return tell(ctx, d, ingresswire.SubjectDiscard, in)
}

// Pause implements the port.
func (d *Deliveries) Pause(ctx context.Context, in ingresswire.ListenerRequest) error {
	return tell(ctx, d, ingresswire.SubjectPause, in)
}

// Resume implements the port.
func (d *Deliveries) Resume(ctx context.Context, in ingresswire.ListenerRequest) error {
	return tell(ctx, d, ingresswire.SubjectResume, in)
}

// RedriveAll implements the port.
func (d *Deliveries) RedriveAll(
	ctx context.Context, in ingresswire.RedriveAllRequest,
) (ingresswire.RedriveAllResponse, error) {
	return call[ingresswire.RedriveAllRequest, ingresswire.RedriveAllResponse](
		ctx, d, ingresswire.SubjectRedriveAll, in,
	)
}

// What one tail holds of deliveries that its reader has not taken yet.
const (
	tailMessages = 1024
	tailBytes    = 1 << 20
)

// flushPatience bounds how long NATS may take to take a subscription.
const flushPatience = 5 * time.Second

var errLost = errors.New("the connection to NATS was lost")

// Tail implements the port.
func (d *Deliveries) Tail(
	ctx context.Context, listener string, opened func(), each func(ingresswire.Delivery) error,
) error {
	subject := ingresswire.SubjectEvents + "*"
	if listener != "" {
		subject = ingresswire.SubjectEvents + ingresswire.Token(listener)
	}
	// What is sent until the connection is back would be missing.
	lost := d.nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer d.nc.RemoveStatusListener(lost)
	tail, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-lost:
			end(errLost)
		case <-tail.Done():
		}
	}()
	sub, err := d.subscribe(tail, subject)
	if err != nil {
		return natskit.AsFault(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed
	opened()
	for {
		msg, err := sub.NextMsgWithContext(tail)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			return edge.TailTooSlow()
		case err != nil:
			return natskit.AsFault(errLost)
		}
		var delivery ingresswire.Delivery
		if json.Unmarshal(msg.Data, &delivery) != nil {
			continue // not what ingress sends
		}
		if err := each(delivery); err != nil {
			return err
		}
	}
}

// subscribe returns when NATS has the subscription.
func (d *Deliveries) subscribe(ctx context.Context, subject string) (*nats.Subscription, error) {
	if !d.nc.IsConnected() {
		return nil, errLost
	}
	sub, err := d.nc.SubscribeSync(subject)
	if err != nil {
		return nil, err
	}
	flush, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	if err := errors.Join(sub.SetPendingLimits(tailMessages, tailBytes), d.nc.FlushWithContext(flush)); err != nil {
		_ = sub.Unsubscribe() // the first error counts
		return nil, err
	}
	return sub, nil
}
