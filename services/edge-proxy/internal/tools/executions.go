package tools

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// executionsURI is where executions are, as resources.
const executionsURI = "noetl://executions/"

// ExecutionURI names an execution as a resource.
func ExecutionURI(executionID string) string { return executionsURI + executionID }

// ResultURI names the result of a call that is too large for a message.
func ResultURI(executionID, requestID string) string {
	return ExecutionURI(executionID) + "/results/" + requestID
}

// Resource is what a resource's name means: an execution, or the result of a call if RequestID is not "".
type Resource struct {
	ExecutionID string
	RequestID   string
}

// ParseURI reads the name of a resource; false for any other text.
func ParseURI(uri string) (Resource, bool) {
	rest, found := strings.CutPrefix(uri, executionsURI)
	id, tail, more := strings.Cut(rest, "/")
	if !found || !noetlwire.ValidID(id) {
		return Resource{}, false
	}
	if !more {
		return Resource{ExecutionID: id}, true
	}
	request, found := strings.CutPrefix(tail, "results/")
	return Resource{id, request}, found && noetlwire.ValidID(request)
}

// ErrNoResource is the fault of the name of a resource that does not exist, or is somebody else's.
var ErrNoResource = fault.New(fault.NotFound, "unknown_resource",
	"there is no such resource of yours: noetl://executions/{id} is one, and the links that results hold")

// executionsPage is how many executions a page has.
const executionsPage = 50

// ListExecutions returns a page of what the caller's calls started, newest first, for as long as the gateway knows
// their requests.
func (c *Calls) ListExecutions(
	ctx context.Context, caller edge.Caller, cursor string,
) (all []Task, next string, err error) {
	return c.requests(ctx, fanoutwire.RequestsOfRequest{
		Owner: caller.Session.Owner(), Limit: executionsPage, Cursor: cursor,
	})
}

// ListTasks returns a page of the tasks of the caller, newest first. Their states are what event-fanout has noted;
// results are in none of them.
func (c *Calls) ListTasks(ctx context.Context, caller edge.Caller, cursor string) (all []Task, next string, err error) {
	return c.requests(ctx, fanoutwire.RequestsOfRequest{
		Owner: caller.Session.Owner(), Tasks: true, Limit: executionsPage, Cursor: cursor,
	})
}

func (c *Calls) requests(ctx context.Context, in fanoutwire.RequestsOfRequest) (all []Task, next string, err error) {
	out, err := c.Outcomes.RequestsOf(ctx, in)
	if err != nil {
		return nil, "", err
	}
	for _, r := range out.Requests {
		if r.ExecutionID == "" && !r.Task {
			continue
		}
		task := taskOf(r)
		switch {
		case r.Ended != "":
			task.State = stateOf(r.Ended)
		case r.Done:
			task.State = Completed
		}
		all = append(all, task)
	}
	return all, out.Next, nil
}

// Execution is what the gateway tells about an execution of NoETL.
type Execution struct {
	ExecutionID string          `json:"execution_id"`
	Path        string          `json:"path,omitempty"`
	Status      string          `json:"status"`
	CurrentStep string          `json:"current_step,omitempty"`
	StartTime   string          `json:"start_time,omitempty"`
	EndTime     string          `json:"end_time,omitempty"`
	Error       json.RawMessage `json:"error,omitempty"`
	Result      json.RawMessage `json:"result,omitempty"`
}

// ReadExecution tells about an execution that the caller may read.
func (c *Calls) ReadExecution(ctx context.Context, caller edge.Caller, id string) (Execution, error) {
	out, err := c.Gateway.Status(ctx, edge.StatusRequest{Caller: caller, ExecutionID: id})
	if kind, failed := fault.KindOf(err); failed && (kind == fault.Invalid || kind == fault.Denied) {
		return Execution{}, ErrNoResource
	}
	return Execution{
		ExecutionID: string(out.ExecutionID), Path: out.Path, Status: out.Status, CurrentStep: out.CurrentStep,
		StartTime: out.StartTime, EndTime: out.EndTime, Error: out.Error, Result: out.Result,
	}, err
}

// MaxResult bounds a result that is read as a resource, in bytes.
const MaxResult = 16 << 20

// ReadResult returns the result of a call that was too large for a message: the data of its callback. Larger ones
// than a frame holds are kept elsewhere than the others.
func (c *Calls) ReadResult(ctx context.Context, caller edge.Caller, requestID string) (json.RawMessage, error) {
	out, err := c.Outcomes.Outcome(ctx, fanoutwire.OutcomeRequest{
		RequestID: requestID, Owner: caller.Session.Owner(),
	})
	switch kind, failed := fault.KindOf(err); {
	case failed && (kind == fault.NotFound || kind == fault.Invalid):
		return nil, ErrNoResource
	case failed:
		return nil, err
	}
	var pushed Outcome
	if len(out.Result) > 0 && pushed.read(out.Result) == nil && !pushed.Elsewhere && len(pushed.Data) > 0 {
		return pushed.Data, nil
	}
	raw, err := c.Results.Result(ctx, caller, requestID, MaxResult)
	switch kind, failed := fault.KindOf(err); {
	case failed && kind == fault.TooLarge:
		return nil, fault.New(fault.TooLarge, frame.CodeTooLarge,
			"the result has more than 16 MiB: fetch it with GET /api/results/"+requestID)
	case failed && (kind == fault.NotFound || kind == fault.Invalid):
		return nil, ErrNoResource
	case failed:
		return nil, err
	}
	var callback struct {
		Data  json.RawMessage `json:"data"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(raw, &callback); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "bad_result", "the stored result cannot be read")
	}
	if len(callback.Data) == 0 {
		return callback.Error, nil
	}
	return callback.Data, nil
}
