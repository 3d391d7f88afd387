// Package natsauthority asks auth and edge-proxy over NATS what a session may watch.
package natsauthority

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// patience bounds a question: auth may run a playbook for it, which has 12 s (AUTH_PLAYBOOK_TIMEOUT_SECS).
const patience = 15 * time.Second

var _ subscriptions.Authority = (*Authority)(nil)

// Authority is the NATS adapter. It is safe for concurrent use.
type Authority struct{ calls *natskit.Client }

// New makes the adapter.
func New(nc *nats.Conn, tel *telemetry.Telemetry) *Authority {
	return &Authority{calls: natskit.NewClient(nc, tel)}
}

// CheckResource implements the port.
func (a *Authority) CheckResource(ctx context.Context, token authwire.Token, resource authwire.Resource) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := natskit.Call[authwire.CheckResourceRequest, authwire.CheckResourceResponse](
		ctx, a.calls, "auth", authwire.SubjectCheckResource,
		authwire.CheckResourceRequest{SessionToken: token.Reveal(), Resource: resource},
	)
	switch kind, failed := fault.KindOf(err); {
	case failed && kind == fault.Invalid: // auth takes no such path for one that anybody may watch
		return fault.Wrap(err, fault.Denied, "subscription_denied", "you may not watch this: "+fault.Of(err).Message)
	case failed:
		return err
	case out.Allowed:
		return nil
	default:
		return fault.New(fault.Denied, "subscription_denied", "you may not watch this")
	}
}

// ViewExecution implements the port.
func (a *Authority) ViewExecution(ctx context.Context, token authwire.Token, executionID string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := natskit.Call[edgewire.ViewExecutionRequest, edgewire.ViewExecutionResponse](
		ctx, a.calls, "edge-proxy", edgewire.SubjectViewExecution,
		edgewire.ViewExecutionRequest{SessionToken: token.Reveal(), ExecutionID: executionID},
	)
	if kind, failed := fault.KindOf(err); failed && kind == fault.Invalid { // no id that an execution can have
		return fault.Wrap(err, fault.NotFound, "no_such_execution", "there is no such execution")
	}
	return err
}
