// Package natsedge hands commands to edge-proxy over NATS.
package natsedge

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.Commands = (*Commands)(nil)

// Commands is the NATS adapter. It is safe for concurrent use.
type Commands struct{ calls *natskit.Client }

// New makes the adapter.
func New(nc *nats.Conn, tel *telemetry.Telemetry) *Commands {
	return &Commands{calls: natskit.NewClient(nc, tel)}
}

// Execute implements the port.
func (c *Commands) Execute(ctx context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error) {
	return natskit.Call[edgewire.ExecuteRequest, edgewire.ExecuteResponse](
		ctx, c.calls, "edge-proxy", edgewire.SubjectExecute, in,
	)
}

// Rerun implements the port.
func (c *Commands) Rerun(ctx context.Context, in edgewire.RerunRequest) (edgewire.ExecuteResponse, error) {
	return natskit.Call[edgewire.RerunRequest, edgewire.ExecuteResponse](
		ctx, c.calls, "edge-proxy", edgewire.SubjectRerun, in,
	)
}

// Cancel implements the port.
func (c *Commands) Cancel(ctx context.Context, in edgewire.CancelRequest) (edgewire.CancelResponse, error) {
	return natskit.Call[edgewire.CancelRequest, edgewire.CancelResponse](
		ctx, c.calls, "edge-proxy", edgewire.SubjectCancel, in,
	)
}
