package sandbox

import "time"

// Types of lifecycle events that the sandbox itself has to know.
const (
	EventIssued    = "command.issued"
	EventCallDone  = "call.done"
	EventCallError = "call.error"
	EventStepEnter = "step.enter"
	EventStepExit  = "step.exit"
)

// moment is something that happens in an execution, which a generation tells in events of its own.
type moment uint8

const (
	atBegin     moment = iota
	atEnter            // a step begins
	atLeave            // a step has worked
	atBreak            // a step has failed
	atComplete         // the playbook has worked
	atFail             // the playbook has failed
	atCancel           // somebody cancelled it
	atInterrupt        // the step that ran when it was cancelled has ended
	atOffer            // the next step of one that was cancelled is there to be claimed
)

// line is one event that a server sends: its type and its status.
type line struct{ kind, status string }

// script returns what a server of a generation sends at a moment, in its order.
func script(g Generation, m moment) []line {
	if g == Python {
		return pythonScript(m)
	}
	return rustScript(m)
}

// rustScript is what server 3.54 and its worker send. They were never seen to send step.exit, which the
// wire contract lists: the sandbox sends it. They send no step.enter for the first step: the sandbox does.
func rustScript(m moment) []line {
	switch m {
	case atBegin:
		return []line{{"playbook_started", "STARTED"}}
	case atEnter:
		return []line{
			{EventStepEnter, "ENTERED"},
			{EventIssued, "PENDING"},
			{"command.claimed", "RUNNING"},
			{"command.started", "STARTED"},
		}
	case atLeave:
		return []line{{EventCallDone, "COMPLETED"}, {EventStepExit, "COMPLETED"}, {"command.completed", "success"}}
	case atBreak:
		return []line{{EventCallError, "FAILED"}, {EventStepExit, "FAILED"}, {"command.failed", "FAILED"}}
	case atComplete:
		return []line{{"playbook.completed", "COMPLETED"}}
	case atFail:
		return []line{{"playbook.failed", "FAILED"}}
	case atCancel:
		return []line{{"playbook_cancelled", "CANCELLED"}}
	case atInterrupt:
		return []line{{EventCallDone, "COMPLETED"}, {"command.completed", "success"}}
	case atOffer:
	}
	return nil
}

// pythonScript is what server 2.103 and its worker send.
func pythonScript(m moment) []line {
	batch := []line{{"batch.accepted", "PENDING"}, {"batch.processing", "RUNNING"}, {"batch.completed", "COMPLETED"}}
	switch m {
	case atBegin:
		return []line{{"playbook.initialized", "initialized"}, {"workflow.initialized", "initialized"}}
	case atEnter:
		return append([]line{
			{EventIssued, "PENDING"},
			{"command.claimed", "RUNNING"},
			{"command.started", "RUNNING"},
			{EventStepEnter, "RUNNING"},
		}, batch...)
	case atLeave:
		return append(
			[]line{{EventCallDone, "COMPLETED"}, {EventStepExit, "COMPLETED"}, {"command.completed", "COMPLETED"}},
			batch...,
		)
	case atBreak: // the exit of a step that failed says COMPLETED all the same
		return append(
			[]line{{EventCallError, "FAILED"}, {EventStepExit, "COMPLETED"}, {"command.failed", "FAILED"}}, batch...,
		)
	case atComplete:
		return []line{
			{"workflow.completed", "completed"}, {"playbook.completed", "completed"}, {"batch.completed", "COMPLETED"},
		}
	case atFail:
		return []line{{"workflow.failed", "failed"}, {"playbook.failed", "failed"}}
	case atCancel:
		return []line{{"execution.cancelled", "CANCELLED"}}
	case atInterrupt:
		return []line{{EventCallDone, "COMPLETED"}, {EventStepExit, "COMPLETED"}, {"command.completed", "COMPLETED"}}
	case atOffer:
		return []line{{EventIssued, "PENDING"}}
	}
	return nil
}

// maxLines is the most events that a step, or the playbook around the steps, has.
const maxLines = 13

// node says what an event is about.
func node(g Generation, kind, path, step string) string {
	switch kind {
	case "playbook_started":
		return path
	case "playbook.initialized":
		return path
	case "playbook.completed", "playbook.failed", "playbook_cancelled":
		if g == Python {
			return path
		}
		return "playbook"
	case "workflow.initialized", "workflow.completed", "workflow.failed":
		return "workflow"
	case "batch.accepted", "batch.processing", "batch.completed":
		return "events.batch"
	case "execution.cancelled":
		return "cancel"
	}
	return step
}

// detail is what some of the events of a moment tell beyond their type.
type detail struct {
	result        any
	error, reason string
}

// tell writes down what happens, and returns it for those who wait for it.
func (e *execution) tell(m moment, step string, d detail) []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tellLocked(m, step, d)
}

func (e *execution) tellLocked(m moment, step string, d detail) []Event {
	lines := script(e.generation, m)
	events := make([]Event, 0, len(lines))
	for _, l := range lines {
		ev := Event{
			Run: &e.about, ID: e.ids.number(), Type: l.kind, Node: node(e.generation, l.kind, e.about.Path, step),
			Status: l.status, At: time.Now().UTC().Truncate(time.Microsecond), Reason: d.reason,
		}
		if m == atComplete || m == atFail {
			ev.Final = step
		}
		if l.kind == EventIssued {
			e.command = ev.ID
		}
		if step != "" && ev.Node == step && l.kind != EventStepEnter {
			ev.Command = e.command
		}
		switch l.kind {
		case EventCallDone, EventStepExit, "command.completed", "playbook.completed", "workflow.completed":
			ev.Result = d.result
		case EventCallError, "command.failed", "playbook.failed", "workflow.failed":
			ev.Error = d.error
		}
		ev.Parent = e.parentOf(l.kind)
		if n := len(e.events); n > 0 {
			ev.Previous = e.events[n-1].ID
		}
		e.events = append(e.events, ev)
		events = append(events, ev)
	}
	return events
}

// parentOf returns the event from which one follows; e.mu is held.
func (e *execution) parentOf(kind string) int64 {
	n := len(e.events)
	switch {
	case n == 0:
		return 0
	case e.generation == Python &&
		(kind == "workflow.initialized" || kind == "playbook.completed" || kind == "playbook.failed"):
		return e.events[0].ID
	case e.generation == Python && (kind == "workflow.completed" || kind == "workflow.failed"):
		return e.events[1].ID
	case kind == EventIssued || kind == "playbook.completed" || kind == "playbook.failed" || kind == EventStepEnter &&
		e.generation != Python:
		return e.events[n-1].ID
	}
	return 0
}
