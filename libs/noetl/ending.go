package noetl

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// What is asked and read for one ending.
const (
	endingRequests = 4
	someEvents     = 10 // the least that the Python server takes for a page
	newestEvents   = 20
)

// settled is how long nothing must have happened in an execution before it is believed to have ended where its server
// only infers that.
const settled = 2 * time.Second

// Ending tells how an execution ended: Running if it goes on, or nobody can tell; NotFound if it is unknown.
//
// The word of the detail, GET /api/executions/{id}, decides. It is no proof on the Python server (2.103,
// server/api/execution/endpoint.py), which says COMPLETED whenever no command waits, and FAILED from the first command
// that failed, while the steps after it run: without an event of the playbook as a whole, nothing must have happened
// for a while, and no command may be running. The result is that of the last step. The Python server has it in the
// variables of the status; the Rust server (3.83, src/services/execution.rs) has it in the events of the detail.
func (c *Client) Ending(ctx context.Context, executionID string) (noetlwire.Ending, error) {
	if !noetlwire.ValidID(executionID) {
		return noetlwire.Ending{}, errExecutionID()
	}
	e := ending{client: c, path: "/api/executions/" + url.PathEscape(executionID), left: endingRequests}
	out, err := e.tell(ctx)
	if err != nil {
		return noetlwire.Ending{}, err
	}
	if !out.State.Ended() {
		return noetlwire.Ending{State: noetlwire.Running}, nil
	}
	return out, nil
}

// ending is one question about how an execution ended.
type ending struct {
	client *Client
	path   string
	left   int // requests
}

func (e *ending) tell(ctx context.Context) (noetlwire.Ending, error) {
	d, err := e.detail(ctx)
	tooLarge := fault.Of(err) != nil && fault.Of(err).Code == codeTooLarge
	if err != nil && !tooLarge {
		return noetlwire.Ending{}, err
	}
	if d.state == "" || tooLarge { // a long run of the Rust server: its status has the word
		s, err := e.status(ctx, "")
		if err != nil || tooLarge {
			return noetlwire.Ending{State: s.about.State()}, err
		}
		d.state, d.end = s.about.State(), s.about.EndTime
	}
	switch {
	case d.rust:
		return d.ending(), nil
	case d.state == noetlwire.Completed:
		return e.completed(ctx, d)
	case d.state == noetlwire.Failed:
		return e.failed(ctx, d)
	}
	return noetlwire.Ending{State: d.state}, nil
}

// completed finds the result of an execution of the Python server.
func (e *ending) completed(ctx context.Context, d detail) (noetlwire.Ending, error) {
	out := noetlwire.Ending{State: noetlwire.Completed}
	whole, err := e.events(ctx, playbookCompleted, someEvents)
	if err != nil {
		return out, err
	}
	if len(whole) == 0 && !quiet(d.end) {
		return noetlwire.Ending{State: noetlwire.Running}, nil
	}
	step := finalStep(whole)
	var last event
	if step == "" {
		if last, err = e.lastCall(ctx, ""); err != nil || last.node == "" {
			return out, err
		}
		step = last.step()
	}
	if !last.isSequence() {
		s, err := e.status(ctx, step)
		if err != nil || s.value != nil {
			out.Result = ownValue(s.value)
			return out, err
		}
	}
	if last.node == "" {
		if last, err = e.lastCall(ctx, step); err != nil {
			return out, err
		}
	}
	if last.isSequence() { // a step with a policy has no variable; events lack the lists of a result
		out.Result = last.previous()
	}
	return out, nil
}

// failed finds out whether an execution of the Python server that had a failure has ended, and the reason.
func (e *ending) failed(ctx context.Context, d detail) (noetlwire.Ending, error) {
	out := noetlwire.Ending{State: noetlwire.Failed, Error: d.reason}
	whole, err := e.events(ctx, playbookFailed, someEvents)
	if err != nil {
		return out, err
	}
	if len(whole) == 0 {
		recent, err := e.events(ctx, "", newestEvents)
		if err != nil || goesOn(recent) {
			return noetlwire.Ending{State: noetlwire.Running}, err
		}
		whole = recent
	}
	if out.Error == "" {
		out.Error = reasonIn(whole)
	}
	if out.Error == "" {
		failures, err := e.events(ctx, commandFailed, someEvents)
		if err != nil {
			return out, err
		}
		out.Error = reasonIn(failures)
	}
	return out, nil
}

// lastCall returns the newest call of a step, of any if step is "".
func (e *ending) lastCall(ctx context.Context, step string) (event, error) {
	calls, err := e.events(ctx, callDone, someEvents)
	for _, call := range calls {
		if step == "" || call.step() == step {
			return call, err
		}
	}
	return event{}, err
}

// events returns the newest events, of one type unless it is "": newest first.
func (e *ending) events(ctx context.Context, kind string, size int) ([]event, error) {
	query := url.Values{"page_size": {strconv.Itoa(size)}}
	if kind != "" {
		query.Set("event_type", kind)
	}
	var found []event
	err := e.ask(ctx, "/events?"+query.Encode(), func(in *answer) error {
		return in.members(func(name string) error {
			if name != "events" {
				return in.skip()
			}
			return in.elements(func(raw wireEvent) {
				if len(found) < size {
					found = append(found, newEvent(raw))
				}
			})
		})
	})
	return found, err
}

// status is what is read of GET /api/executions/{id}/status.
type status struct {
	about noetlwire.Execution
	value json.RawMessage // of the variable that was asked for, nil if there is none
}

// status reads the flags, and one variable: what the server shortens unless it is asked for all.
func (e *ending) status(ctx context.Context, variable string) (status, error) {
	var out status
	err := e.ask(ctx, "/status?full=true", func(in *answer) error {
		return in.members(func(name string) error {
			switch name {
			case "status":
				return in.value(&out.about.Status)
			case "completed":
				return in.value(&out.about.Completed)
			case "failed":
				return in.value(&out.about.Failed)
			case "is_cancelled":
				return in.value(&out.about.IsCancelled)
			case "end_time":
				return in.value(&out.about.EndTime)
			case "variables":
				return in.members(func(name string) error {
					if name != variable {
						return in.skip()
					}
					return in.value(&out.value)
				})
			}
			return in.skip()
		})
	})
	return out, err
}

// ask sends a request about the execution, if there is one left, and reads an answer that is an object. A server that
// knows the execution and not the route says nothing.
func (e *ending) ask(ctx context.Context, rest string, read func(*answer) error) error {
	if e.left == 0 {
		return nil
	}
	known := e.left < endingRequests
	e.left--
	path := e.path + rest
	resp, err := e.client.ask(ctx, e.client.owner(e.path), http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if known && (resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed) {
		return nil
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		text, err := readAnswer(resp)
		if err != nil {
			return err
		}
		return statusFault(resp.StatusCode, text).After(retryAfter(resp))
	}
	return answerFault(read(newAnswer(resp.Body, e.client.bounds)))
}

// quiet reports whether the last thing happened long ago, or nobody knows when.
func quiet(at string) bool {
	t, err := time.Parse(time.RFC3339, at)
	return err != nil || time.Since(t) > settled
}

func finalStep(whole []event) string {
	if len(whole) == 0 {
		return ""
	}
	return strings.TrimSuffix(whole[0].finalStep, sequence)
}

// reasonIn returns the newest error in events that begin with the newest.
func reasonIn(events []event) string {
	for _, e := range events {
		if e.reason != "" {
			return e.reason
		}
	}
	return ""
}

// goesOn reports whether newer steps run after the failure of one. What begins and ends with a command is told in
// events; what is too old to be among the newest is judged by how long nothing has happened.
func goesOn(newestFirst []event) bool {
	ended, seen := map[string]bool{}, map[string]bool{}
	for _, e := range newestFirst {
		switch e.kind {
		case playbookFailed, playbookCompleted, "playbook_failed", "playbook_completed":
			return false
		case "command.completed", commandFailed, "command.cancelled":
			ended[e.command] = true
		case "command.claimed", "command.started":
			if !ended[e.command] {
				return true
			}
		case "command.issued": // it does not tell its id, and may wait for a worker
			if !seen[e.node] {
				return true
			}
		default:
			continue
		}
		seen[e.node] = true
	}
	return len(newestFirst) > 0 && !quiet(newestFirst[0].at)
}
