// Package natssubscriptions opens and closes subscriptions at event-fanout over NATS.
package natssubscriptions

import (
	"context"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Subscriptions = (*Subscriptions)(nil)

// Subscriptions is the NATS adapter. It is safe for concurrent use.
type Subscriptions struct{ calls *natskit.Client }

// New makes the adapter.
func New(calls *natskit.Client) *Subscriptions { return &Subscriptions{calls: calls} }

const callee = "event-fanout"

// Subscribe implements the port.
func (s *Subscriptions) Subscribe(
	ctx context.Context, in fanoutwire.SubscribeRequest,
) (fanoutwire.Subscription, error) {
	return natskit.Call[fanoutwire.SubscribeRequest, fanoutwire.Subscription](
		ctx, s.calls, callee, fanoutwire.SubjectSubscribe, in,
	)
}

// Unsubscribe implements the port.
func (s *Subscriptions) Unsubscribe(ctx context.Context, in fanoutwire.UnsubscribeRequest) error {
	_, err := natskit.Call[fanoutwire.UnsubscribeRequest, fanoutwire.UnsubscribeResponse](
		ctx, s.calls, callee, fanoutwire.SubjectUnsubscribe, in,
	)
	return err
}
