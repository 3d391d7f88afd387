package tools

import (
	"context"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Task is a call whose outcome is kept for whoever of its user asks for it: it outlives the call, the client and every
// process of the gateway. Its id is the request id, which nobody can guess.
type Task struct {
	Outcome

	Progress  *Progress // the latest report, nil for none
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time // when it is forgotten

	kept bool
}

// Ended reports whether nothing more happens to it.
func (t Task) Ended() bool { return t.State != Working }

var errNoTask = fault.New(fault.NotFound, "unknown_task", "there is no such task of yours, or it has expired")

// missingFor is how long NoETL must not know the execution of a task before it is believed to be gone: nobody will ever
// end it then.
const missingFor = 30 * time.Second

// taskPatience is how long a call waits for its end before it becomes a task; the pauses between two looks double.
const (
	taskPatience  = 700 * time.Millisecond
	taskFirstLook = 40 * time.Millisecond
	taskLastLook  = 400 * time.Millisecond
)

// taskSilence is how long nothing may be heard of a task before NoETL is asked how it is.
const taskSilence = 3 * time.Second

// StartTask starts a tool as a task. It is durable when StartTask returns. What ends soon has ended then.
func (c *Calls) StartTask(ctx context.Context, in CallRequest) (Task, error) {
	id := c.NewID()
	started, err := c.start(ctx, in.Caller, in.Tool, in.Arguments, edge.Tracking{RequestID: id, Kept: true})
	if err != nil {
		return Task{}, err
	}
	in.begun(started.ExecutionID)
	task := Task{
		Outcome: Outcome{RequestID: id, ExecutionID: started.ExecutionID, Path: in.Tool.Path, State: Working},
	}
	deadline, pause := time.Now().Add(taskPatience), taskFirstLook
	for {
		// That nobody can tell now is no reason to say that it was not started.
		now, err := c.outcome(ctx, in.Caller, id)
		if err == nil {
			task = now
		}
		if task.Ended() || time.Now().Add(pause).After(deadline) || !edge.Wait(ctx, pause) {
			break
		}
		pause = min(2*pause, taskLastLook)
	}
	if task.CreatedAt.IsZero() {
		return task, fault.New(fault.Unavailable, "task_unknown",
			"the execution "+started.ExecutionID+" runs, but nobody can tell about it now: read "+
				ExecutionURI(started.ExecutionID))
	}
	return task, nil
}

// TaskOf returns a task of the caller.
func (c *Calls) TaskOf(ctx context.Context, caller edge.Caller, id string) (Task, error) {
	task, err := c.own(ctx, caller, id)
	if err != nil || task.Ended() || task.ExecutionID == "" || time.Since(task.UpdatedAt) < taskSilence {
		return task, err
	}
	// Playbooks need not report anything, and not every server tells of events.
	if !c.looks.due(id, time.Now()) {
		return task, nil
	}
	status, err := c.Gateway.Status(ctx, edge.StatusRequest{Caller: caller, ExecutionID: task.ExecutionID})
	kind, failed := fault.KindOf(err)
	missing := failed && kind == fault.NotFound
	switch {
	case failed && !missing: // nobody can tell
	case !c.looks.answered(id, missing, time.Now()):
		task.State, task.Message = Failed, forgotten
	case !failed && executionState(status) != Working && c.ending(ctx, &task.Outcome, Working):
		c.looks.forget(id) // the next one who asks hears the same
	}
	return task, nil
}

// looks are what NoETL last said about tasks. It is safe for concurrent use.
type looks struct {
	mu   *sync.Mutex
	last *otter.Cache[string, looked]
}

// looked is when NoETL was last asked about a task, and how often in a row, from when on, it did not know it.
type looked struct {
	at      time.Time
	missing int
	since   time.Time
}

// lost reports whether an execution is believed to be gone: a NoETL that is restarting may not know one for a moment,
// and a task that has failed cannot run again.
func (l looked) lost() bool { return l.missing > maxMissing && l.at.Sub(l.since) >= missingFor }

// maxLooks bounds them. Who is forgotten is asked about once more.
const maxLooks = 10_000

func newLooks() looks {
	return looks{&sync.Mutex{}, otter.Must(&otter.Options[string, looked]{MaximumSize: maxLooks})}
}

// due reports whether a task may be asked about, and counts that as a question.
func (l looks) due(id string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, asked := l.last.GetIfPresent(id)
	if asked && now.Sub(last.at) < taskSilence && !last.lost() {
		return false
	}
	last.at = now
	l.last.Set(id, last)
	return true
}

// answered notes whether NoETL knows an execution, and reports whether it still counts as one.
func (l looks) answered(id string, missing bool, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, _ := l.last.GetIfPresent(id)
	last.at = now
	switch {
	case !missing:
		last.missing = 0
	case last.missing == 0:
		last.missing, last.since = 1, now
	default:
		last.missing++
	}
	l.last.Set(id, last)
	return !last.lost()
}

func (l looks) forget(id string) { l.last.Invalidate(id) }

// own returns a task of the caller; a call that is none is not one.
func (c *Calls) own(ctx context.Context, caller edge.Caller, id string) (Task, error) {
	task, err := c.outcome(ctx, caller, id)
	if err == nil && !task.kept {
		return Task{}, errNoTask
	}
	return task, err
}

// outcome returns a call or a task as event-fanout knows it.
func (c *Calls) outcome(ctx context.Context, caller edge.Caller, id string) (Task, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out, err := c.Outcomes.Outcome(ctx, fanoutwire.OutcomeRequest{RequestID: id, Owner: caller.Session.Owner()})
	switch kind, failed := fault.KindOf(err); {
	case failed && (kind == fault.NotFound || kind == fault.Invalid):
		return Task{}, errNoTask
	case failed:
		return Task{}, err
	}
	task := taskOf(out.OwnRequest)
	task.UpdatedAt = out.UpdatedAt
	if out.Progress != nil {
		task.Progress = &Progress{Step: out.Progress.Step, Message: out.Progress.Message, Value: out.Progress.Progress}
	}
	switch {
	case len(out.Result) > 0:
		return task, task.read(out.Result)
	case out.Ended != "" && time.Since(out.UpdatedAt) > resultPatience:
		c.ending(ctx, &task.Outcome, stateOf(out.Ended))
	case out.Ended == frame.EventCancelled: // no result follows
		task.State = Cancelled
	case out.Done: // its frames are older than what is kept
		if !c.ending(ctx, &task.Outcome, Working) {
			return Task{}, errNoTask
		}
	}
	return task, nil
}

func taskOf(r fanoutwire.OwnRequest) Task {
	return Task{
		Outcome: Outcome{
			RequestID: r.RequestID, ExecutionID: r.ExecutionID, Path: r.PlaybookPath, State: Working,
		},
		CreatedAt: r.CreatedAt, UpdatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, kept: r.Task,
	}
}

// CancelTask ends the execution of a task of the caller. One that has ended already is no error.
func (c *Calls) CancelTask(ctx context.Context, caller edge.Caller, id string) error {
	task, err := c.own(ctx, caller, id)
	if err != nil || task.Ended() {
		return err
	}
	if task.ExecutionID == "" {
		return fault.New(fault.Conflict, "not_started", "NoETL has not started it yet: cancel again in a second")
	}
	_, err = c.Gateway.Cancel(ctx, edge.CancelRequest{
		Caller: caller, ExecutionID: task.ExecutionID, Reason: "its MCP client cancelled the task",
	})
	if kind, failed := fault.KindOf(err); failed && kind == fault.Conflict {
		return nil // it has ended
	}
	return err
}
