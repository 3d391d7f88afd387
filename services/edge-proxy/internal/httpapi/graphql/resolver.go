package graphql

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// maxStarts is how many calls of one operation run concurrently in one replica.
const maxStarts = 1024

// resolver answers the fields of the schema. Its operations are bound here, one row each.
type resolver struct {
	Deps
	execute func(context.Context, edge.ExecuteRequest) (edge.ExecuteResponse, error)
	rerun   func(context.Context, edge.RerunRequest) (edge.ExecuteResponse, error)
	status  func(context.Context, edge.StatusRequest) (noetlwire.Execution, error)
}

func newResolver(d Deps) *resolver {
	limits := kit.Limits{Deadline: d.StartTimeout, Concurrency: maxStarts}
	return &resolver{
		Deps:    d,
		execute: kit.Bind(d.Observer, "edge.execute", limits, d.Service.Execute),
		rerun:   kit.Bind(d.Observer, "edge.rerun", limits, d.Service.Rerun),
		status:  kit.Bind(d.Observer, "edge.status", limits, d.Service.Status),
	}
}

// Mutation implements ResolverRoot.
func (r *resolver) Mutation() MutationResolver { return r }

// Subscription implements ResolverRoot.
func (r *resolver) Subscription() SubscriptionResolver { return r }

// Query implements ResolverRoot.
func (r *resolver) Query() QueryResolver { return r }

// Health answers that the gateway is there.
func (r *resolver) Health(context.Context) (string, error) { return "ok", nil }

// Version answers the version of the gateway.
func (r *resolver) Version(context.Context) (string, error) { return r.Deps.Version, nil }

// ExecutePlaybook starts a playbook or an agent.
func (r *resolver) ExecutePlaybook(
	ctx context.Context, name string, variables any, resourceKind *ExecutableResourceKind,
	clientID, requestID *string,
) (*ExecuteResult, error) {
	caller, vars, err := r.input(ctx, variables)
	if err != nil {
		return nil, err
	}
	in := edge.ExecuteRequest{Caller: caller, Name: name, Variables: vars, Tracking: tracking(clientID, requestID)}
	if resourceKind != nil {
		in.ResourceKind = resourceKind.String()
	}
	return result(r.execute(ctx, in))
}

// RerunExecution starts an execution again.
func (r *resolver) RerunExecution(
	ctx context.Context, executionID string, variables any, clientID, requestID *string,
) (*ExecuteResult, error) {
	caller, vars, err := r.input(ctx, variables)
	if err != nil {
		return nil, err
	}
	return result(r.rerun(ctx, edge.RerunRequest{
		Caller: caller, ExecutionID: executionID, Variables: vars, Tracking: tracking(clientID, requestID),
	}))
}

// Execution tells how an execution is doing.
func (r *resolver) Execution(ctx context.Context, id string) (*Execution, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	out, err := r.status(ctx, edge.StatusRequest{Caller: caller, ExecutionID: id})
	if kind, failed := fault.KindOf(err); failed {
		if kind == fault.NotFound {
			return nil, nil //nolint:nilnil // GraphQL's way to say that there is none
		}
		return nil, err
	}
	if err := hold(ctx, len(out.Result)+len(out.Error)); err != nil {
		return nil, err
	}
	return &Execution{
		ExecutionID: string(out.ExecutionID),
		Status:      optional(out.Status),
		Name:        optional(out.Name),
		Path:        optional(out.Path),
		Completed:   out.Completed,
		Failed:      out.Failed,
		Result:      raw(out.Result),
		Error:       raw(out.Error),
	}, nil
}

// raw passes JSON on, as valid text; none is null.
func raw(m json.RawMessage) any {
	if len(m) == 0 {
		return nil
	}
	return json.RawMessage(noetlwire.ValidText(m))
}

// ProxyRequest makes one call of NoETL's API.
func (r *resolver) ProxyRequest(ctx context.Context, in ProxyRequestInput) (*ProxyResponse, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	status, answer, err := r.Proxy(ctx, caller, in.Method, in.Endpoint, in.Body, holdFor(ctx))
	if err != nil {
		text := fault.Of(err).Message
		return &ProxyResponse{Error: &text}, nil
	}
	out := &ProxyResponse{Success: status >= 200 && status <= 299}
	if json.Valid(answer) {
		out.Data = raw(answer)
	} else if len(answer) > 0 {
		out.Data = strings.ToValidUTF8(string(answer), "\uFFFD")
	}
	if !out.Success {
		text := "NoETL answered with status " + strconv.Itoa(status)
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(answer, &said) == nil && said.Error != "" {
			text = said.Error
		}
		out.Error = &text
	}
	return out, nil
}

func (r *resolver) input(ctx context.Context, variables any) (edge.Caller, map[string]any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return caller, nil, err
	}
	if variables == nil {
		return caller, nil, nil
	}
	vars, ok := variables.(map[string]any)
	if !ok {
		return caller, nil, fault.New(fault.Invalid, "bad_variables", "variables must be a JSON object")
	}
	return caller, vars, nil
}

func tracking(clientID, requestID *string) edge.Tracking {
	return edge.Tracking{ClientID: deref(clientID), RequestID: noetlwire.RequestID(deref(requestID))}
}

func result(out edge.ExecuteResponse, err error) (*ExecuteResult, error) {
	if err != nil {
		return nil, err
	}
	text := "Execution " + out.ExecutionID + " started"
	return &ExecuteResult{
		ID: out.ExecutionID, ExecutionID: out.ExecutionID, RequestID: optional(out.RequestID),
		Name: optional(out.Name), Status: optional(out.Status), TextOutput: &text,
	}, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
