package sandbox

import (
	"context"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Status values of an execution.
const (
	StatusRunning   = "RUNNING"
	StatusCompleted = "COMPLETED"
	StatusFailed    = "FAILED"
	StatusCancelled = "CANCELLED"
)

// What became of the callbacks of an execution; for people who look into it.
const (
	callbackNone      = "none"
	callbackPending   = "pending"
	callbackDelivered = "delivered"
	callbackRefused   = "refused"
	callbackGivenUp   = "given up"
)

// execution is one run of a playbook. mu guards what changes.
type execution struct {
	about      Run
	generation Generation
	playbook   *playbook
	kind       string
	started    time.Time
	ids        *ids
	size       int // guarded by the store
	cancel     context.CancelCauseFunc

	mu       sync.Mutex
	status   string
	inferred bool // nobody said that it is complete
	ended    time.Time
	step     string
	done     []StepResult
	steps    int
	broken   int // steps that failed
	command  int64
	result   any
	failure  *Failure
	events   []Event
	callback string
	reason   string
}

// StepResult is a step that has worked, and what came out.
type StepResult struct {
	Step   string
	Result any
}

// View is all that is known of an execution at one moment.
type View struct {
	Run
	Version  int
	Kind     string
	Status   string
	Inferred bool // the server infers that it is complete: nothing happens any more
	// CurrentStep is the one that was entered last, "" for none.
	CurrentStep string
	Done        []StepResult
	Steps       int // of the playbook
	BrokenSteps int
	Result      any
	Failure     *Failure
	Started     time.Time
	Ended       time.Time // zero while it runs
	Events      []Event   // oldest first
	Callback    string    // what became of its callback: none, pending, delivered, refused or given up
	Reason      string    // of a cancellation
}

func (e *execution) view() View {
	e.mu.Lock()
	defer e.mu.Unlock()
	return View{
		Run:         e.about,
		Version:     e.playbook.version,
		Kind:        e.kind,
		Status:      e.status,
		Inferred:    e.inferred,
		CurrentStep: e.step,
		Done:        e.done,
		Steps:       e.steps,
		BrokenSteps: e.broken,
		Result:      e.result,
		Failure:     e.failure,
		Started:     e.started,
		Ended:       e.ended,
		Events:      e.events,
		Callback:    e.callback,
		Reason:      e.reason,
	}
}

func (e *execution) plan(steps int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.steps = steps
}

func (e *execution) enter(step string) []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.step = step
	return e.tellLocked(atEnter, step, detail{})
}

// leave notes that a step has worked, and returns how far the execution is.
func (e *execution) leave(step string, result any) (progress float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = append(e.done, StepResult{step, result})
	return float64(len(e.done)) / float64(e.steps)
}

// complete ends an execution that worked, unless it was cancelled.
func (e *execution) complete(result any, inferred bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.status == StatusRunning {
		e.status, e.result, e.inferred, e.ended = StatusCompleted, result, inferred, time.Now().UTC()
	}
	return e.status == StatusCompleted
}

// fail ends an execution that did not work, unless it was cancelled.
func (e *execution) fail(failure *Failure) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.status == StatusRunning {
		e.status, e.failure, e.ended = StatusFailed, failure, time.Now().UTC()
		e.broken++
	}
	return e.status == StatusFailed
}

// stop ends an execution that runs because somebody said so.
func (e *execution) stop(reason string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.status != StatusRunning {
		return false
	}
	e.status, e.reason, e.ended = StatusCancelled, reason, time.Now().UTC()
	e.tellLocked(atCancel, "", detail{reason: reason})
	return true
}

// cancellation returns the event of the cancellation.
func (e *execution) cancellation() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.events {
		if e.events[i].Type == script(e.generation, atCancel)[0].kind {
			return e.events[i : i+1]
		}
	}
	return nil
}

func (e *execution) setCallback(state string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.callback = state
}

func (e *execution) id() noetlwire.ID { return e.about.ExecutionID }
