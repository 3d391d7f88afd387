package sandbox

import (
	"context"
	"slices"
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
	id       noetlwire.ID
	playbook *playbook
	workload Workload
	kind     string
	parent   noetlwire.ID
	started  time.Time
	size     int // guarded by the store
	cancel   context.CancelCauseFunc

	mu        sync.Mutex
	status    string
	ended     time.Time
	step      string
	completed []string
	steps     int
	result    any
	failure   *Failure
	events    []Event
	callback  string
	reason    string
}

// StatusView is the answer to GET /api/executions/{id}/status.
type StatusView struct {
	ExecutionID    noetlwire.ID `json:"execution_id"`
	Path           string       `json:"path"`
	Status         string       `json:"status"`
	Completed      bool         `json:"completed"`
	Failed         bool         `json:"failed"`
	CurrentStep    string       `json:"current_step,omitempty"`
	CompletedSteps []string     `json:"completed_steps"`
	Progress       float64      `json:"progress"`
	Result         any          `json:"result,omitempty"`
	Error          *Failure     `json:"error,omitempty"`
}

// DetailView is the answer to GET /api/executions/{id}.
type DetailView struct {
	StatusView
	Name              string       `json:"name"`
	ResourceKind      string       `json:"resource_kind"`
	ParentExecutionID noetlwire.ID `json:"parent_execution_id,omitempty"`
	StartedAt         time.Time    `json:"started_at"`
	EndedAt           *time.Time   `json:"ended_at,omitempty"`
	Workload          any          `json:"workload"`
	Callback          string       `json:"callback"`
	CancelReason      string       `json:"cancel_reason,omitempty"`
}

// SummaryView is one row of GET /api/executions.
type SummaryView struct {
	ExecutionID noetlwire.ID `json:"execution_id"`
	Path        string       `json:"path"`
	Status      string       `json:"status"`
	StartedAt   time.Time    `json:"started_at"`
	EndedAt     *time.Time   `json:"ended_at,omitempty"`
}

// EventView is one row of GET /api/executions/{id}/events.
type EventView struct {
	EventType   string       `json:"event_type"`
	ExecutionID noetlwire.ID `json:"execution_id"`
	StepName    *string      `json:"step_name"`
	Status      string       `json:"status"`
	Timestamp   time.Time    `json:"timestamp"`
}

func (e *execution) statusView() StatusView {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.statusLocked()
}

func (e *execution) statusLocked() StatusView {
	v := StatusView{
		ExecutionID: e.id, Path: e.playbook.path, Status: e.status, Completed: e.status == StatusCompleted,
		Failed: e.status == StatusFailed || e.status == StatusCancelled, CurrentStep: e.step,
		CompletedSteps: append([]string{}, e.completed...), Result: redacted(e.result), Error: e.failure,
	}
	switch {
	case v.Completed:
		v.Progress = 1
	case e.steps > 0:
		v.Progress = float64(len(e.completed)) / float64(e.steps)
	}
	return v
}

func (e *execution) detail() DetailView {
	e.mu.Lock()
	defer e.mu.Unlock()
	return DetailView{
		StatusView: e.statusLocked(), Name: e.playbook.name(), ResourceKind: e.kind, ParentExecutionID: e.parent,
		StartedAt: e.started, EndedAt: moment(e.ended), Workload: redacted(e.workload), Callback: e.callback, CancelReason: e.reason,
	}
}

func (e *execution) summary() SummaryView {
	e.mu.Lock()
	defer e.mu.Unlock()
	return SummaryView{ExecutionID: e.id, Path: e.playbook.path, Status: e.status, StartedAt: e.started, EndedAt: moment(e.ended)}
}

func (e *execution) eventViews() []EventView {
	e.mu.Lock()
	defer e.mu.Unlock()
	views := make([]EventView, len(e.events))
	for i, ev := range e.events {
		views[i] = EventView{EventType: ev.Type, ExecutionID: ev.ExecutionID, Status: ev.Status, Timestamp: ev.At}
		if ev.Step != "" {
			views[i].StepName = &e.events[i].Step
		}
	}
	return views
}

// event records and returns the next lifecycle event.
func (e *execution) event(kind, step, status string) Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	ev := Event{ExecutionID: e.id, Seq: len(e.events) + 1, Type: kind, Step: step, Status: status, At: time.Now().UTC()}
	e.events = append(e.events, ev)
	return ev
}

func (e *execution) entered(step string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.step = step
}

func (e *execution) left(step string) (done, of int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.completed = append(e.completed, step)
	return len(e.completed), e.steps
}

func (e *execution) finish(status string, result any, failure *Failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.result, e.failure, e.ended = status, result, failure, time.Now().UTC()
	if status == StatusCompleted {
		e.step = ""
	}
}

func (e *execution) setCallback(state string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.callback = state
}

func (e *execution) running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status == StatusRunning
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// executions keeps the latest runs, bounded in number and in bytes.
type executions struct {
	mu    sync.Mutex
	byID  map[noetlwire.ID]*execution
	order []*execution // oldest first
	bytes int
}

func (x *executions) add(e *execution) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byID[e.id] = e
	x.order = append(x.order, e)
	x.grow(e, sizeOf(e.workload))
}

// grew tells that an execution now holds more, and makes room for it.
func (x *executions) grew(e *execution, by int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byID[e.id] == e {
		x.grow(e, by)
	}
}

func (x *executions) grow(e *execution, by int) {
	e.size += by
	x.bytes += by
	for len(x.order) > 1 && (len(x.order) > maxExecutions || x.bytes > maxExecutionBytes) {
		oldest := x.order[0]
		x.order[0] = nil // the backing array must not keep it alive
		x.order = x.order[1:]
		x.bytes -= oldest.size
		delete(x.byID, oldest.id)
	}
}

func (x *executions) get(id noetlwire.ID) (*execution, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.byID[id]
	return e, ok
}

// latest returns at most n executions that match, newest first.
func (x *executions) latest(n int, match func(*execution) bool) []*execution {
	x.mu.Lock()
	defer x.mu.Unlock()
	var found []*execution
	for _, e := range slices.Backward(x.order) {
		if len(found) == n {
			break
		}
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}
