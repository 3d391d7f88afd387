// Package natsapi serves commands of users that came in at another door of the gateway: what a
// WebSocket asked event-fanout to execute.
package natsapi

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
)

// SessionResolver answers whose session a token is.
type SessionResolver interface {
	Resolve(ctx context.Context, token authwire.Token) (*authwire.Session, error)
}

// calls bounds each operation in one replica.
const calls = 512

// Endpoints is the subject table. Whoever may publish on these subjects must still show the
// session token: the caller's name alone is not believed.
func Endpoints(set endpoints.Set, sessions SessionResolver) []natskit.Endpoint {
	d := door{set: set, sessions: sessions}
	return []natskit.Endpoint{
		natskit.Mount(edgewire.SubjectExecute, calls, kit.Lift("edge.nats_execute", d.execute)),
		natskit.Mount(edgewire.SubjectRerun, calls, kit.Lift("edge.nats_rerun", d.rerun)),
		natskit.Mount(edgewire.SubjectCancel, calls, kit.Lift("edge.nats_cancel", d.cancel)),
	}
}

type door struct {
	set      endpoints.Set
	sessions SessionResolver
}

func (d door) caller(ctx context.Context, text string) (edge.Caller, error) {
	token := authwire.NewToken(text)
	session, err := d.sessions.Resolve(ctx, token)
	return edge.Caller{Session: session, Token: token}, err
}

func (d door) execute(ctx context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error) {
	caller, err := d.caller(ctx, in.SessionToken)
	if err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	variables, err := object(in.Variables)
	if err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	switch in.ResourceKind {
	case "", "playbook", "agent":
	default:
		return edgewire.ExecuteResponse{}, fault.New(
			fault.Invalid, "bad_resource_kind", "resourceKind must be playbook or agent",
		)
	}
	out, err := d.set.Execute.Call(
		ctx,
		edge.ExecuteRequest{
			Caller:       caller,
			Name:         in.Name,
			Variables:    variables,
			ResourceKind: in.ResourceKind,
			Tracking:     edge.Tracking{ClientID: in.ClientID, RequestID: noetlwire.RequestID(in.RequestID)},
		},
	)
	return edgewire.ExecuteResponse(out), err
}

func (d door) rerun(ctx context.Context, in edgewire.RerunRequest) (edgewire.ExecuteResponse, error) {
	caller, err := d.caller(ctx, in.SessionToken)
	if err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	variables, err := object(in.Variables)
	if err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	out, err := d.set.Rerun.Call(
		ctx,
		edge.RerunRequest{
			Caller:      caller,
			ExecutionID: in.ExecutionID,
			Variables:   variables,
			Tracking:    edge.Tracking{ClientID: in.ClientID, RequestID: noetlwire.RequestID(in.RequestID)},
		},
	)
	return edgewire.ExecuteResponse(out), err
}

func (d door) cancel(ctx context.Context, in edgewire.CancelRequest) (edgewire.CancelResponse, error) {
	caller, err := d.caller(ctx, in.SessionToken)
	if err != nil {
		return edgewire.CancelResponse{}, err
	}
	out, err := d.set.Cancel.Call(
		ctx,
		edge.CancelRequest{Caller: caller, ExecutionID: in.ExecutionID, Reason: in.Reason},
	)
	return edgewire.CancelResponse(out), err
}

// object decodes the variables; whole numbers keep all their digits.
func object(raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "bad_variables", "variables must be a JSON object")
	}
	return v, nil
}
