// Package natsrelay brings a worker's callback to the auth replica that waits for it.
package natsrelay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.CallbackRelay = (*CallbackRelay)(nil)

// CallbackRelay is the NATS adapter. It is safe for concurrent use.
type CallbackRelay struct {
	nc  *nats.Conn
	tel *telemetry.Telemetry
}

// New makes the relay.
func New(nc *nats.Conn, tel *telemetry.Telemetry) *CallbackRelay {
	return &CallbackRelay{nc: nc, tel: tel}
}

// Deliver implements the port: a request that only the waiting replica answers.
func (r *CallbackRelay) Deliver(ctx context.Context, requestID string, body []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := r.nc.RequestMsgWithContext(ctx, &nats.Msg{
		Subject: authwire.SubjectCallback + requestID,
		Data:    body,
		Header:  natskit.Inject(ctx, r.tel.Propagator(), nats.Header{}),
	})
	if errors.Is(err, nats.ErrNoResponders) {
		return false, nil
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return false, fault.Wrap(
			err, fault.TooLarge, "callback_too_large",
			"the callback is too large: store the data and send a reference to it",
		)
	}
	return err == nil, natskit.AsFault(err)
}
