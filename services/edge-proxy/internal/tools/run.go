package tools

import (
	"encoding/json"
	"sync"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// maxUnread bounds the reports that wait for a caller who reads slowly. Newer ones replace older ones; a result is
// never dropped.
const maxUnread = 32

// run is where one call hears of its execution. It is safe for concurrent use.
type run struct {
	// news is signaled after a change.
	news chan struct{}
	// executionID is guarded by the stream.
	executionID string

	mu      sync.Mutex
	reports []Progress
	params  *json.RawMessage // of the result
	event   string           // that ended it
	err     error
}

func newRun() *run { return &run{news: make(chan struct{}, 1)} }

func (r *run) change(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *run) progress(p Progress) {
	r.change(func() {
		if len(r.reports) >= maxUnread {
			r.reports = append(r.reports[:0], r.reports[1:]...)
		}
		r.reports = append(r.reports, p)
	})
}

func (r *run) result(params map[string]any) {
	raw, err := json.Marshal(params)
	r.change(func() {
		if err != nil { // it was decoded from JSON
			r.err = err
			return
		}
		message := json.RawMessage(raw)
		r.params = &message
	})
}

func (r *run) end(event string) { r.change(func() { r.event = event }) }

func (r *run) fail(err error) { r.change(func() { r.err = err }) }

// take returns what is new.
func (r *run) take() (progress []Progress, result *json.RawMessage, ended string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	progress, r.reports = r.reports, nil
	return progress, r.params, r.event, r.err
}

func (r *run) endedAs() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.event
}

// The lifecycle events that end an execution.
const (
	eventCompleted = "playbook.completed"
	eventFailed    = "playbook.failed"
	eventCancelled = "playbook.cancelled"
)

func ends(event string) bool { return stateOf(event) != Working }

func stateOf(event string) State {
	switch event {
	case eventCompleted:
		return Completed
	case eventFailed:
		return Failed
	case eventCancelled:
		return Cancelled
	}
	return Working
}

func executionState(e noetlwire.Execution) State {
	switch e.State() {
	case noetlwire.Completed:
		return Completed
	case noetlwire.Failed:
		return Failed
	case noetlwire.Cancelled:
		return Cancelled
	default:
		return Working
	}
}

// end is an execution that ended without a result for the gateway: what NoETL says of it is all there is.
func (o *Outcome) end(state State, status noetlwire.Execution) {
	o.State, o.Data, o.Told = state, status.Result, true
	if state == Failed {
		o.Data, o.Message = nil, reasonOf(status.Error)
	}
}

// reasonOf reads the error of an execution: a text, or an object with a message.
func reasonOf(raw json.RawMessage) string {
	var plain string
	if json.Unmarshal(raw, &plain) == nil && plain != "" {
		return plain
	}
	var object struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &object) == nil && object.Message != "" {
		return object.Message
	}
	return "the playbook failed; NoETL does not say why"
}

// text is a member of a frame's params; "" if it is no text.
func text(params map[string]any, name string) string {
	value, _ := params[name].(string)
	return value
}

// number likewise.
func number(params map[string]any, name string) float64 {
	value, _ := params[name].(json.Number)
	f, _ := value.Float64()
	return f
}
