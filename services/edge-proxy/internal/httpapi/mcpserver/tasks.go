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
	newest, err := s.tasks(ctx, pageRequest{x.caller, ""})
	if err != nil {
		return nil, err
	}
	out := taskList{Tasks: []taskFields{}, More: newest.next != ""}
	for _, task := range newest.tasks {
		out.Tasks = append(out.Tasks, s.fields(task, nil)) // tasks/get has the result
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
			return &taskResult{
				ResultType: resultComplete, taskFields: s.fields(task, s.taskResult(ctx, x, task)),
			}, nil
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
		PollIntervalMs: pollInterval(time.Since(task.CreatedAt)).Milliseconds(),
	}
}

// pollInterval is how often a client should ask: less often for what runs long.
func pollInterval(age time.Duration) time.Duration {
	switch {
	case age < 30*time.Second:
		return time.Second
	case age < 5*time.Minute:
		return 5 * time.Second
	default:
		return 15 * time.Second
	}
}

// taskResult is the result of a task that has ended, as its tool would have answered; nil of another one. Of a tool
// that is there no more, or whose caller may not call it any more, nobody knows which structure it promised.
func (s *Server) taskResult(ctx context.Context, x *exchange, task tools.Task) *mcp.CallToolResult {
	if task.State != tools.Completed && task.State != tools.Failed {
		return nil
	}
	tool, err := s.find(ctx, findRequest{x.caller, tools.NameOf(task.Path)})
	if err != nil {
		result := s.result(tools.Tool{Path: task.Path}, task.Outcome)
		result.StructuredContent = nil
		return result
	}
	return s.result(tool, task.Outcome)
}

// fields is a task with its result, if it has one. A playbook that failed has completed, with a result that says so.
func (s *Server) fields(task tools.Task, result *mcp.CallToolResult) taskFields {
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
		out.Status, out.Result = "completed", result
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
