// Package natsauthority asks auth and edge-proxy who may watch what.
package natsauthority

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

var _ subscriptions.Authority = (*Authority)(nil)

// Authority is the NATS adapter. It is safe for concurrent use.
type Authority struct{ calls *natskit.Client }

// New makes the adapter.
func New(nc *nats.Conn, tel *telemetry.Telemetry) *Authority {
	return &Authority{calls: natskit.NewClient(nc, tel)}
}

// CheckResource implements the port.
func (a *Authority) CheckResource(ctx context.Context, token authwire.Token, r authwire.Resource) error {
	out, err := natskit.Call[authwire.CheckResourceRequest, authwire.CheckResourceResponse](
		ctx, a.calls, "auth", authwire.SubjectCheckResource,
		authwire.CheckResourceRequest{SessionToken: token.Reveal(), Resource: r},
	)
	if err == nil && !out.Allowed {
		return fault.New(fault.Denied, "resource_denied", "you may not watch this path")
	}
	return err
}

// ViewExecution implements the port.
func (a *Authority) ViewExecution(ctx context.Context, token authwire.Token, executionID string) error {
	_, err := natskit.Call[edgewire.ViewExecutionRequest, edgewire.ViewExecutionResponse](
		ctx, a.calls, "edge-proxy", edgewire.SubjectViewExecution,
		edgewire.ViewExecutionRequest{SessionToken: token.Reveal(), ExecutionID: executionID},
	)
	return err
}
