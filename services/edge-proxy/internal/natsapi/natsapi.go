// Package natsapi is the subject table of edge-proxy: commands of users that came in at another listener of the
// gateway, such as what a WebSocket asked event-fanout to execute, and whether they may follow an execution.
package natsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// SessionResolver answers whose session a token is.
type SessionResolver interface {
	Resolve(ctx context.Context, token authwire.Token) (*authwire.Session, error)
}

// maxCalls bounds each operation in one replica.
const maxCalls = 512

// Table is the subject table; start bounds one call of NoETL. Whoever may publish on these subjects must still show
// the session token: the caller's name alone is not believed.
func Table(svc *edge.Service, sessions SessionResolver, o kit.Observer, start time.Duration) []natskit.Endpoint {
	limits := kit.Limits{Deadline: start, Concurrency: maxCalls}
	c := commands{svc: svc, sessions: sessions}
	return []natskit.Endpoint{
		natskit.Handle(o, edgewire.SubjectExecute, "edge.execute", limits, c.execute),
		natskit.Handle(o, edgewire.SubjectRerun, "edge.rerun", limits, c.rerun),
		natskit.Handle(o, edgewire.SubjectCancel, "edge.cancel", limits, c.cancel),
		natskit.Handle(o, edgewire.SubjectViewExecution, "edge.view-execution", limits, c.viewExecution),
	}
}

// commands are the service's methods in the contract's types, for whoever shows a session token.
type commands struct {
	svc      *edge.Service
	sessions SessionResolver
}

func (c commands) caller(ctx context.Context, text string) (edge.Caller, error) {
	token := authwire.NewToken(text)
	session, err := c.sessions.Resolve(ctx, token)
	return edge.Caller{Session: session, Token: token}, err
}

func (c commands) execute(ctx context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error) {
	caller, err := c.caller(ctx, in.SessionToken)
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
	out, err := c.svc.Execute(ctx, edge.ExecuteRequest{
		Caller: caller, Name: in.Name, Variables: variables, ResourceKind: in.ResourceKind,
		Tracking: edge.Tracking{ClientID: in.ClientID, RequestID: noetlwire.RequestID(in.RequestID)},
	})
	return edgewire.ExecuteResponse(out), err
}

func (c commands) rerun(ctx context.Context, in edgewire.RerunRequest) (edgewire.ExecuteResponse, error) {
	caller, err := c.caller(ctx, in.SessionToken)
	if err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	variables, err := object(in.Variables)
	if err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	out, err := c.svc.Rerun(ctx, edge.RerunRequest{
		Caller: caller, ExecutionID: in.ExecutionID, Variables: variables,
		Tracking: edge.Tracking{ClientID: in.ClientID, RequestID: noetlwire.RequestID(in.RequestID)},
	})
	return edgewire.ExecuteResponse(out), err
}

func (c commands) cancel(ctx context.Context, in edgewire.CancelRequest) (edgewire.CancelResponse, error) {
	caller, err := c.caller(ctx, in.SessionToken)
	if err != nil {
		return edgewire.CancelResponse{}, err
	}
	out, err := c.svc.Cancel(ctx, edge.CancelRequest{
		Caller: caller, ExecutionID: in.ExecutionID, Reason: in.Reason,
	})
	return edgewire.CancelResponse(out), err
}

func (c commands) viewExecution(
	ctx context.Context, in edgewire.ViewExecutionRequest,
) (edgewire.ViewExecutionResponse, error) {
	caller, err := c.caller(ctx, in.SessionToken)
	if err != nil {
		return edgewire.ViewExecutionResponse{}, err
	}
	out, err := c.svc.ViewExecution(ctx, edge.ViewExecutionRequest{Caller: caller, ExecutionID: in.ExecutionID})
	return edgewire.ViewExecutionResponse(out), err
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
