package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// toolsCall starts a playbook, and waits for its result or returns a task.
func (s *Server) toolsCall(ctx context.Context, x *exchange, req mcp.Request) (result mcp.Result, err error) {
	p, ok := req.GetParams().(*mcp.CallToolParamsRaw)
	if !ok {
		return nil, fault.New(fault.Invalid, "bad_params", "params must name a tool")
	}
	begun, tool := time.Now(), tools.Tool{}
	out := tools.Outcome{}
	defer func() { s.called(ctx, x, tool, out, result, err, time.Since(begun)) }()
	if tool, err = s.find(ctx, findRequest{x.caller, p.Name}); err != nil {
		return nil, err
	}
	s.open.found(x.open, tool)
	if err := tool.Check(p.Arguments); err != nil {
		if kind, _ := fault.KindOf(err); kind == fault.Invalid {
			return failure(fault.Of(err).Message), nil // the model can fix it
		}
		return nil, err
	}
	arguments, err := object(p.Arguments)
	if err != nil {
		return failure(fault.Of(err).Message), nil
	}
	in := tools.CallRequest{
		Caller: x.caller, Tool: tool, Arguments: arguments,
		OnStart: func(executionID string) { s.open.started(x.open, executionID) },
	}
	if x.knowsTasks() {
		task, err := s.begin(ctx, in)
		out = task.Outcome
		if err != nil {
			return refused(err)
		}
		if task.Ended() {
			return s.result(tool, task.Outcome), nil
		}
		return newTask(task), nil
	}
	ctx, end := s.follow(ctx, x)
	defer end()
	in.OnProgress = reporter(ctx, req)
	out, err = s.call(ctx, in)
	if err != nil {
		return refused(err)
	}
	return s.result(tool, out), nil
}

// refused tells apart what a model can fix from what it cannot: the first is a result.
func refused(err error) (mcp.Result, error) {
	kind, _ := fault.KindOf(err)
	if kind == fault.Invalid || kind == fault.TooLarge || kind == fault.Conflict || kind == fault.Unprocessable {
		return failure(fault.Of(err).Message), nil
	}
	if kind == fault.Denied || kind == fault.NotFound { // since it was found
		return nil, fault.New(fault.NotFound, "unknown_tool", "there is no such tool any more: list the tools again")
	}
	return nil, err
}

// follow returns a context that ends when the connection does, the session, or the process; and, for older clients,
// when they say that they no longer want the answer.
func (s *Server) follow(ctx context.Context, x *exchange) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(x.ctx, func() { cancel(context.Cause(x.ctx)) })
	forget := s.cancels.add(x.cancelKey(x.id.Raw()), func() { cancel(context.Canceled) })
	return ctx, func() {
		forget()
		stop()
		cancel(nil)
	}
}

// object decodes arguments; whole numbers keep all their digits.
func object(raw json.RawMessage) (map[string]any, error) {
	trimmed := bytes.TrimSpace(raw)
	if len(trimmed) == 0 || bytes.Equal(trimmed, []byte("null")) {
		return map[string]any{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "bad_arguments", "arguments must be a JSON object")
	}
	return v, nil
}

// reporter returns what passes progress on, nil if the client did not ask for it. What is reported rises always, as
// the protocol wants it, also where a playbook repeats itself.
func reporter(ctx context.Context, req mcp.Request) func(tools.Progress) {
	p, ok := req.GetParams().(mcp.RequestParams)
	session, isServer := req.GetSession().(*mcp.ServerSession)
	if !ok || !isServer || p.GetProgressToken() == nil {
		return nil
	}
	token, last := p.GetProgressToken(), -1.0
	return func(report tools.Progress) {
		value := report.Value * progressTotal
		if value <= last {
			value = last + progressStep
		}
		last = value
		message := report.Message
		if message == "" {
			message = report.Step
		}
		// The client may have left; the call finds out by its own context.
		_ = session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token, Progress: value, Total: progressTotal, Message: message,
		})
	}
}

// Progress is told in percent; a report that does not rise is told as a little more.
const (
	progressTotal = 100
	progressStep  = 1e-3
)
