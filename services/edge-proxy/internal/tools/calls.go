package tools

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// CallsDeps are what calls need.
type CallsDeps struct {
	Gateway Gateway
	// Executions ends what a session started that has ended since.
	Executions edge.Executions
	Endings    Endings
	Frames     edge.Frames
	Outcomes   Outcomes
	Results    Results
	Logger     *slog.Logger
	// NewID returns a fresh unguessable request id.
	NewID func() string
	// KeepRunning lets an execution go on whose caller has left.
	KeepRunning bool
}

// Calls starts tools and tells what becomes of them. It is safe for concurrent use.
type Calls struct {
	CallsDeps
	streams *streams
	ended   *endedSessions
	looks   looks
}

// NewCalls makes it.
func NewCalls(d CallsDeps) *Calls {
	return &Calls{CallsDeps: d, streams: newStreams(d.Frames), ended: newEndedSessions(), looks: newLooks()}
}

// Close ends the event streams. Executions go on.
func (c *Calls) Close() { c.streams.close() }

// Progress is a worker's report; Value is 0 to 1.
type Progress struct {
	Step    string
	Message string
	Value   float64
}

// CallRequest calls a tool and waits for its result.
type CallRequest struct {
	Caller    edge.Caller
	Tool      Tool
	Arguments map[string]any
	// OnStart is called when NoETL has started the execution; nil for nobody.
	OnStart func(executionID string)
	// OnProgress is called for each report, one at a time; nil for nobody. While it runs, older reports are dropped for
	// newer ones.
	OnProgress func(Progress)
}

// State is how an execution is doing.
type State string

// The states.
const (
	Working   State = "working"
	Completed State = "completed"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Outcome is what became of a call.
type Outcome struct {
	RequestID   string
	ExecutionID string
	Path        string
	State       State
	// Data is the result of a completed execution, nil if it gave none.
	Data json.RawMessage
	// Told is set where NoETL's status said how it ended: the gateway has no result of its own then.
	Told bool
	// Message says why it failed.
	Message string
	// Elsewhere is set for a result that is too large for a message: [Calls.Result] may return it.
	Elsewhere bool
	Bytes     int64 // of that result
}

// Reasons why a call ends before its execution does: the cause of its context. They are faults that are no
// outage, or metrics would count them as defects of the gateway.
var (
	// ErrClosing says that the process stops. The execution goes on.
	ErrClosing = fault.New(fault.Canceled, "closing", "the gateway is restarting")
	// ErrSessionEnded says that the session has ended. So does the execution.
	ErrSessionEnded = fault.New(fault.Unauthenticated, "session_ended", "the session has ended")
)

// firstLook is how long nothing may be heard of an execution before NoETL is asked how it is; then it grows by half up
// to lastLook. No server calls back by itself, and not every one tells of events.
const (
	firstLook = time.Second
	lastLook  = 15 * time.Second
	// resultPatience is how long the result may come after the event that ends the execution.
	resultPatience = 500 * time.Millisecond
	// pollPause is how often the outcome is asked for where the stream is lost.
	pollPause = 2 * time.Second
	// maxMissing is how often in a row nobody must know an execution before it is believed to be gone.
	maxMissing = 2
	// forgotten is what is said then.
	forgotten = "NoETL does not know the execution any more"
	// askTimeout bounds one question about an outcome.
	askTimeout = 5 * time.Second
	// endTimeout bounds ending an execution whose caller has left.
	endTimeout = 15 * time.Second
)

// Call starts a tool and waits until its execution has ended, ctx ends, or the session does. When the caller leaves,
// the execution is cancelled, unless KeepRunning says otherwise.
func (c *Calls) Call(ctx context.Context, in CallRequest) (Outcome, error) {
	stream, err := c.streams.join(ctx, in.Caller)
	if err != nil {
		return Outcome{}, err
	}
	defer stream.leave()
	id := c.NewID()
	run := stream.expect(id)
	defer stream.forget(id)
	started, err := c.start(ctx, in.Caller, in.Tool, in.Arguments, edge.Tracking{
		ClientID: stream.clientID, RequestID: id, Listed: true,
	})
	if err != nil {
		return Outcome{}, err
	}
	in.begun(started.ExecutionID)
	clear(in.Arguments) // they may be large, and the call may be long
	stream.bind(id, started.ExecutionID)
	out := Outcome{RequestID: id, ExecutionID: started.ExecutionID, Path: in.Tool.Path, State: Working}
	err = c.wait(ctx, in, run, &out)
	if errors.Is(err, errStreamLost) && ctx.Err() == nil {
		err = c.poll(ctx, in.Caller, &out)
	}
	if err != nil {
		c.left(ctx, in.Caller, out, err)
		return out, err
	}
	return out, nil
}

// poll asks for the outcome of a call whose stream is lost, until it is there.
func (c *Calls) poll(ctx context.Context, caller edge.Caller, out *Outcome) error {
	missing := 0
	for edge.Wait(ctx, pollPause) {
		now, err := c.outcome(ctx, caller, out.RequestID)
		switch kind, failed := fault.KindOf(err); {
		case failed && kind == fault.NotFound:
			if missing++; missing > maxMissing {
				return errStreamLost
			}
		case failed: // nobody can tell now
		case now.Ended():
			*out = now.Outcome
			return nil
		default:
			missing = 0
		}
	}
	return context.Cause(ctx)
}

func (in CallRequest) begun(executionID string) {
	if in.OnStart != nil {
		in.OnStart(executionID)
	}
}

func (c *Calls) start(
	ctx context.Context, caller edge.Caller, tool Tool, arguments map[string]any, track edge.Tracking,
) (edge.ExecuteResponse, error) {
	return c.Gateway.Execute(ctx, edge.ExecuteRequest{
		Caller: caller, Name: tool.Path, Variables: arguments, ResourceKind: tool.Kind, Tracking: track,
	})
}

// wait follows an execution to its end.
func (c *Calls) wait(ctx context.Context, in CallRequest, run *run, out *Outcome) error {
	pause, missing, ended := firstLook, 0, false
	look := time.NewTimer(pause)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-run.news:
			progress, result, event, err := run.take()
			for _, p := range progress {
				if in.OnProgress != nil {
					in.OnProgress(p)
				}
			}
			switch {
			case result != nil:
				return out.read(*result)
			case err != nil:
				return err
			case event != "":
				ended = true
				look.Reset(resultPatience)
			}
		case <-look.C:
			switch {
			case ended && c.ending(ctx, out, stateOf(run.endedAs())):
				return nil
			case ended: // it goes on after all: steps may run after one that failed
				ended = false
			default:
				var known bool
				ended, known = c.look(ctx, in.Caller, out)
				if missing++; known {
					missing = 0
				}
			}
			switch {
			case missing > maxMissing:
				out.State, out.Message = Failed, forgotten
				return nil
			case ended: // its result may be on the way
				look.Reset(resultPatience)
				continue
			}
			pause = min(pause+pause/2, lastLook)
			look.Reset(pause)
		}
	}
}

// look asks NoETL whether an execution of which nothing was heard for a while seems to have ended. That nobody can tell
// now is no end; known is false when NoETL has no such execution.
func (c *Calls) look(ctx context.Context, caller edge.Caller, out *Outcome) (ended, known bool) {
	status, err := c.Gateway.Status(ctx, edge.StatusRequest{Caller: caller, ExecutionID: out.ExecutionID})
	if kind, failed := fault.KindOf(err); failed {
		return false, kind != fault.NotFound
	}
	return executionState(status) != Working, true
}

// ending reads how an execution ended, and what it returned. seen is how an event said that it ended, Working for none:
// the event is believed before an answer that lags behind, and nothing is believed that a status only guesses.
func (c *Calls) ending(ctx context.Context, out *Outcome, seen State) (over bool) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	e, err := c.Endings.Ending(ctx, out.ExecutionID)
	state := stateIn(e.State)
	switch {
	case err != nil && seen == Working, state == Working && seen == Working:
		return false
	case err != nil || state == Working:
		state = seen
	}
	out.State, out.Told = state, true
	switch state {
	case Completed:
		out.Data = e.Result
	case Failed:
		if out.Message = e.Error; out.Message == "" {
			out.Message = "the playbook failed; NoETL does not say why"
		}
	case Working, Cancelled:
	}
	return true
}

// left ends the execution of a call that nobody waits for any more.
func (c *Calls) left(ctx context.Context, caller edge.Caller, out Outcome, why error) {
	revoked, lost := errors.Is(why, ErrSessionEnded), errors.Is(why, errStreamLost)
	if !revoked && (lost || c.KeepRunning || errors.Is(why, ErrClosing)) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	var err error
	if revoked { // nobody may do anything in its name any more, and it started this
		err = c.Executions.Cancel(ctx, out.ExecutionID, "the session of its MCP client has ended", true)
	} else {
		_, err = c.Gateway.Cancel(ctx, edge.CancelRequest{
			Caller: caller, ExecutionID: out.ExecutionID, Reason: "its MCP client has left or cancelled the call",
		})
	}
	if kind, failed := fault.KindOf(err); failed && kind != fault.Conflict && kind != fault.NotFound {
		c.Logger.WarnContext(ctx, "an execution whose caller has left goes on",
			"execution_id", out.ExecutionID, "reason", fault.Of(err).Code)
	}
}

// read takes the params of a frame playbook/result.
func (o *Outcome) read(raw json.RawMessage) error {
	var params frame.ResultParams
	if err := json.Unmarshal(raw, &params); err != nil {
		return fault.Wrap(err, fault.Internal, "bad_frame", "the result cannot be read")
	}
	o.State, o.Data = Completed, params.Data
	if params.Status == frame.StatusFailed || params.Error != nil {
		o.State = Failed
	}
	if params.Error == nil {
		return nil
	}
	o.Message = params.Error.Message
	var data frame.Elsewhere
	if json.Unmarshal(params.Error.Data, &data) == nil && data.Code == frame.CodeTooLarge {
		o.Elsewhere, o.Bytes = data.URL != "", data.Bytes
		if o.Elsewhere && params.Status != frame.StatusFailed {
			o.State = Completed
		}
	}
	return nil
}
