package mcpserver

import (
	"context"
	"encoding/json"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// taskResult is a task of the extension io.modelcontextprotocol/tasks, revision 2026-07-28.
type taskResult struct {
	mcp.ResultBase
	ResultType string `json:"resultType"`
	taskFields
}

type taskFields struct {
	TaskID         string `json:"taskId"`
	Status         string `json:"status"`
	StatusMessage  string `json:"statusMessage,omitempty"`
	CreatedAt      string `json:"createdAt"`
	LastUpdatedAt  string `json:"lastUpdatedAt"`
	TTLMs          int64  `json:"ttlMs"`
	PollIntervalMs int64  `json:"pollIntervalMs"`
	// Result is that of the call, of a completed task.
	Result *mcp.CallToolResult `json:"result,omitempty"`
}

// taskList is what the resource of all tasks holds: the extension has no method that lists them, and says why: a
// client that lists sees the tasks of others. Here they are all of one user.
type taskList struct {
	Tasks []taskFields `json:"tasks"`
	// More says that there are older ones.
	More bool `json:"more,omitempty"`
}

// listTasks returns the newest tasks of the caller, as JSON.
func (s *Server) listTasks(ctx context.Context, x *exchange) ([]byte, error) {
	all, next, err := s.Calls.ListTasks(ctx, x.caller, "")
	if err != nil {
		return nil, err
	}
	out := taskList{Tasks: []taskFields{}, More: next != ""}
	for _, task := range all {
		fields := s.fields(task)
		fields.Result = nil // tasks/get has it
		out.Tasks = append(out.Tasks, fields)
	}
	return json.Marshal(out)
}

type emptyResult struct {
	mcp.ResultBase
	ResultType string `json:"resultType"`
}

// taskParams are the parameters of all methods about tasks.
type taskParams struct {
	mcp.ParamsBase
	TaskID string `json:"taskId"`
	// InputResponses answer questions, which no playbook asks.
	InputResponses json.RawMessage `json:"inputResponses"`
}

const (
	resultComplete = "complete"
	resultTask     = "task"
	// pollInterval is how often a client should ask.
	pollInterval = time.Second
)

// addTasks adds the methods of the extension to the SDK's server.
func (s *Server) addTasks(server *mcp.Server, x *exchange) {
	switch x.method {
	case methodTask:
		add(server, x, func(ctx context.Context, p *taskParams) (*taskResult, error) {
			task, err := s.task(ctx, taskRequest{x.caller, p.TaskID})
			if err != nil {
				return nil, err
			}
			return &taskResult{ResultType: resultComplete, taskFields: s.fields(task)}, nil
		})
	case methodUpdateTask:
		add(server, x, func(ctx context.Context, p *taskParams) (*emptyResult, error) {
			_, err := s.task(ctx, taskRequest{x.caller, p.TaskID})
			return &emptyResult{ResultType: resultComplete}, err
		})
	case methodCancelTask:
		add(server, x, func(ctx context.Context, p *taskParams) (*emptyResult, error) {
			_, err := s.cancel(ctx, taskRequest{x.caller, p.TaskID})
			s.taskCancelled(ctx, x, p.TaskID, err)
			return &emptyResult{ResultType: resultComplete}, err
		})
	}
}

// add adds one method, for clients that declared the extension.
func add[R mcp.Result](server *mcp.Server, x *exchange, handle func(context.Context, *taskParams) (R, error)) {
	use := func(ctx context.Context, _ *mcp.ServerSession, p *taskParams) (R, error) {
		var none R
		if !x.knowsTasks() {
			return none, missingTasks()
		}
		if p == nil {
			p = &taskParams{}
		}
		out, err := handle(ctx, p)
		if err != nil {
			return none, err
		}
		return out, nil
	}
	if err := mcp.AddReceivingCustomMethod(server, x.method, use); err != nil {
		panic("mcpserver: " + err.Error()) // it names a method of the SDK's own, which is a defect here
	}
}

// newTask is the answer to a call that became a task.
func newTask(task tools.Task) *taskResult {
	return &taskResult{ResultType: resultTask, taskFields: header(task)}
}

func header(task tools.Task) taskFields {
	return taskFields{
		TaskID: task.RequestID, Status: "working", CreatedAt: moment(task.CreatedAt),
		LastUpdatedAt: moment(task.UpdatedAt), TTLMs: task.ExpiresAt.Sub(task.CreatedAt).Milliseconds(),
		PollIntervalMs: pollInterval.Milliseconds(),
	}
}

// fields is a task with its result, if it has one. A playbook that failed has completed, with a result that says so.
func (s *Server) fields(task tools.Task) taskFields {
	out := header(task)
	switch task.State {
	case tools.Working:
		if p := task.Progress; p != nil {
			if out.StatusMessage = p.Message; out.StatusMessage == "" {
				out.StatusMessage = p.Step
			}
		}
	case tools.Cancelled:
		out.Status, out.StatusMessage = "cancelled", "the execution was cancelled"
	case tools.Completed, tools.Failed:
		out.Status = "completed"
		out.Result = s.result(tools.Tool{Path: task.Path}, task.Outcome)
	}
	return out
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// isWire reports whether an error has the form of the protocol already.
func isWire(err error) bool {
	w, ok := err.(*jsonrpc.Error) //nolint:errorlint // it is made here and not wrapped
	return ok && w != nil
}

// taskCancelled is the audit line of a task that its user wanted to end.
func (s *Server) taskCancelled(ctx context.Context, x *exchange, id string, err error) {
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return
	}
	s.Logger.InfoContext(ctx, "audit", "event", "tool_task_cancelled", "account", x.caller.Session.Owner(),
		"task", shortened(id), "outcome", outcomeOf(nil, err))
}
