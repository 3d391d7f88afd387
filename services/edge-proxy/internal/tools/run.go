package tools

import (
	"encoding/json"
	"sync"

	"github.com/noetl/gateway/libs/contract/frame"
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
	// reported is set when the playbook reported something itself.
	reported bool
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

// report tells of what the playbook reported.
func (r *run) report(p Progress) {
	r.mu.Lock()
	r.reported = true
	r.mu.Unlock()
	r.progress(p)
}

// step tells of a step that began, as long as the playbook reports nothing itself.
func (r *run) step(name string) {
	r.mu.Lock()
	reported := r.reported
	r.mu.Unlock()
	if !reported && name != "" {
		r.progress(Progress{Step: name})
	}
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

// eventStep is the lifecycle event of a step that begins.
const eventStep = "step.enter"

func stateOf(event string) State {
	switch event {
	case frame.EventCompleted:
		return Completed
	case frame.EventFailed:
		return Failed
	case frame.EventCancelled:
		return Cancelled
	}
	return Working
}

func executionState(e noetlwire.Execution) State { return stateIn(e.State()) }

// stateIn is a state in the words of NoETL.
func stateIn(s noetlwire.State) State {
	switch s {
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
