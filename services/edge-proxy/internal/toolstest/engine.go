// Package toolstest has the fakes of package tools, and the suites that they share with the real adapters.
package toolstest

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var (
	_ tools.Gateway   = (*Engine)(nil)
	_ edge.Frames     = (*Engine)(nil)
	_ edge.Executions = Canceller{}
	_ tools.Endings   = EngineEndings{}
)

// Engine runs playbooks in memory, and tells the streams of their clients about them. It is safe for concurrent use.
type Engine struct {
	// Run is what an execution does; it is called in a goroutine of its own. Nil does nothing, and goes on forever.
	Run func(x *Execution)
	// MayRun rejects a start; nil none.
	MayRun func(caller edge.Caller, path string) error
	// Guess is what a status says of an execution that goes on, "" for the truth.
	Guess noetlwire.State
	// Slow is how long a start takes.
	Slow time.Duration
	// Opened is called for each stream that opens, if it is set; an error rejects it.
	Opened func(in edge.FramesRequest) error

	mu      sync.Mutex
	next    int
	streams map[string][]chan edge.Frame
	all     map[string]*Execution
	last    *Execution
	opens   int
	asked   int
}

// Execution is one run of a playbook.
type Execution struct {
	ID       string
	Request  edge.ExecuteRequest
	ClientID string
	// Cancelled is closed when somebody cancelled it.
	Cancelled chan struct{}

	engine *Engine
	state  noetlwire.State
	result json.RawMessage
	reason string
}

// MayExecute implements tools.Gateway.
func (e *Engine) MayExecute(_ context.Context, caller edge.Caller, path string) error {
	if e.MayRun == nil {
		return nil
	}
	return e.MayRun(caller, path)
}

// Execute implements tools.Gateway.
func (e *Engine) Execute(ctx context.Context, in edge.ExecuteRequest) (edge.ExecuteResponse, error) {
	if err := e.MayExecute(ctx, in.Caller, in.Name); err != nil {
		return edge.ExecuteResponse{}, err
	}
	time.Sleep(e.Slow)                      //nolint:forbidigo // as NoETL takes its time, in the bubble of synctest
	in.Variables = maps.Clone(in.Variables) // the caller may do with its own what it likes
	e.mu.Lock()
	e.next++
	x := &Execution{
		ID: strconv.Itoa(1000 + e.next), Request: in, ClientID: in.Tracking.ClientID, Cancelled: make(chan struct{}),
		engine: e, state: noetlwire.Running,
	}
	if e.all == nil {
		e.all = map[string]*Execution{}
	}
	e.all[x.ID], e.last = x, x
	e.mu.Unlock()
	if e.Run != nil {
		go e.Run(x)
	}
	return edge.ExecuteResponse{
		RequestID: in.Tracking.RequestID, ExecutionID: x.ID, Name: in.Name, Status: "started",
	}, nil
}

// Status implements tools.Gateway.
func (e *Engine) Status(_ context.Context, in edge.StatusRequest) (noetlwire.Execution, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.all[in.ExecutionID]
	if x == nil {
		return noetlwire.Execution{}, fault.New(fault.NotFound, "no_such_execution", "there is no such execution")
	}
	e.asked++
	state := x.state
	if e.Guess != "" && !state.Ended() {
		state = e.Guess
	}
	return noetlwire.Execution{
		ExecutionID: noetlwire.ID(x.ID), Path: x.Request.Name, Status: string(state), Result: x.result,
	}, nil
}

// Cancel implements tools.Gateway.
func (e *Engine) Cancel(ctx context.Context, in edge.CancelRequest) (edge.CancelResponse, error) {
	err := Canceller{e}.Cancel(ctx, in.ExecutionID, in.Reason, true)
	return edge.CancelResponse{ExecutionID: in.ExecutionID, Status: "cancelled"}, err
}

// Find returns an execution, nil if there is none.
func (e *Engine) Find(id string) *Execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[id]
}

// Forget loses an execution, as a NoETL does whose database was restored.
func (e *Engine) Forget(x *Execution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.all, x.ID)
}

// Know brings an execution back.
func (e *Engine) Know(x *Execution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[x.ID] = x
}

// Last returns the execution that was started last, nil if none was.
func (e *Engine) Last() *Execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// Reason returns why an execution was cancelled, "" if it was not.
func (x *Execution) Reason() string {
	x.engine.mu.Lock()
	defer x.engine.mu.Unlock()
	return x.reason
}

// Canceller is the engine as edge.Executions.
type Canceller struct{ *Engine }

// Status implements edge.Executions.
func (c Canceller) Status(ctx context.Context, executionID string) (noetlwire.Execution, error) {
	return c.Engine.Status(ctx, edge.StatusRequest{ExecutionID: executionID})
}

// Cancel implements edge.Executions.
func (c Canceller) Cancel(_ context.Context, executionID, reason string, _ bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.all[executionID]
	switch {
	case x == nil:
		return fault.New(fault.NotFound, "no_such_execution", "there is no such execution")
	case x.state.Ended():
		return fault.New(fault.Conflict, "ended", "the execution has ended")
	}
	x.state, x.reason = noetlwire.Cancelled, reason
	close(x.Cancelled)
	return nil
}

// Open implements edge.Frames. The stream of a client id goes on where it is opened again.
func (e *Engine) Open(ctx context.Context, in edge.FramesRequest) (<-chan edge.Frame, error) {
	if e.Opened != nil {
		if err := e.Opened(in); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opens++
	id := in.ClientID
	if id == "" {
		e.next++
		id = "client-" + strconv.Itoa(e.next)
	}
	sent, out := make(chan edge.Frame, 1024), make(chan edge.Frame)
	if e.streams == nil {
		e.streams = map[string][]chan edge.Frame{}
	}
	e.streams[id] = append(e.streams[id], sent)
	sent <- edge.Frame{Method: "initialized", Params: map[string]any{"clientId": id}}
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case f, open := <-sent:
				if !open {
					return
				}
				select {
				case out <- f:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

// Break closes all streams, as a replica that dies does. What is sent meanwhile is lost.
func (e *Engine) Break() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, all := range e.streams {
		for _, s := range all {
			close(s)
		}
		e.streams[id] = nil
	}
}

// Send sends a frame to the streams of a client.
func (e *Engine) Send(clientID, method string, params map[string]any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next++
	for _, s := range e.streams[clientID] {
		s <- edge.Frame{ID: strconv.Itoa(e.next), Method: method, Params: params}
	}
}

// Opens returns how often a stream was opened.
func (e *Engine) Opens() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.opens
}

// Asked returns how many questions about a status there were.
func (e *Engine) Asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

// Streams returns how many streams were opened and not broken.
func (e *Engine) Streams() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, all := range e.streams {
		n += len(all)
	}
	return n
}

// Report tells of progress.
func (x *Execution) Report(value float64, message string) {
	x.engine.Send(x.ClientID, frame.MethodProgress, map[string]any{
		"requestId": x.Request.Tracking.RequestID, "executionId": x.ID, "message": message,
		"progress": json.Number(strconv.FormatFloat(value, 'g', -1, 64)),
	})
}

// Complete ends the execution with a result.
func (x *Execution) Complete(data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	x.end(noetlwire.Completed, raw)
	x.engine.Send(x.ClientID, frame.MethodResult, map[string]any{
		"requestId": x.Request.Tracking.RequestID, "executionId": x.ID, "status": frame.StatusCompleted, "data": data,
	})
}

// Fail ends the execution with an error.
func (x *Execution) Fail(message string) {
	x.end(noetlwire.Failed, nil)
	x.engine.Send(x.ClientID, frame.MethodResult, map[string]any{
		"requestId": x.Request.Tracking.RequestID, "executionId": x.ID, "status": frame.StatusFailed,
		"error": map[string]any{"code": json.Number("-32000"), "message": message},
	})
}

// End ends the execution without a result, and tells of it only if event is not "".
func (x *Execution) End(state noetlwire.State, event string) {
	x.end(state, nil)
	if event != "" {
		x.engine.Send(x.ClientID, frame.MethodState, map[string]any{
			"execution_id": x.ID, "event_type": event, "status": "completed",
		})
	}
}

func (x *Execution) end(state noetlwire.State, result json.RawMessage) {
	x.engine.mu.Lock()
	defer x.engine.mu.Unlock()
	x.state, x.result = state, result
}

// EngineEndings is the engine as tools.Endings. Result is what its playbooks return that tell nobody.
type EngineEndings struct {
	*Engine

	Result json.RawMessage
}

// Ending implements the port.
func (e EngineEndings) Ending(_ context.Context, executionID string) (noetlwire.Ending, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.all[executionID]
	if x == nil {
		return noetlwire.Ending{}, fault.New(fault.NotFound, "no_such_execution", "there is no such execution")
	}
	out := noetlwire.Ending{State: x.state}
	if x.state == noetlwire.Completed {
		out.Result = e.Result
	}
	return out, nil
}
