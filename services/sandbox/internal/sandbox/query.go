package sandbox

import (
	"context"
	"fmt"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Status tells how far an execution is.
func (s *Service) Status(_ context.Context, id noetlwire.ID) (StatusView, error) {
	e, ok := s.store.get(id)
	if !ok {
		return StatusView{}, errNoExecution(string(id))
	}
	return e.statusView(), nil
}

// Detail tells all about an execution, secrets blacked out.
func (s *Service) Detail(_ context.Context, id noetlwire.ID) (DetailView, error) {
	e, ok := s.store.get(id)
	if !ok {
		return DetailView{}, errNoExecution(string(id))
	}
	return e.detail(), nil
}

// EventsView is the answer to GET /api/executions/{id}/events, oldest first.
type EventsView struct {
	ExecutionID noetlwire.ID `json:"execution_id"`
	Events      []EventView  `json:"events"`
}

// Events lists the lifecycle events of an execution, delivered or not.
func (s *Service) Events(_ context.Context, id noetlwire.ID) (EventsView, error) {
	e, ok := s.store.get(id)
	if !ok {
		return EventsView{}, errNoExecution(string(id))
	}
	return EventsView{ExecutionID: id, Events: e.eventViews()}, nil
}

// VarsView is the answer to GET /api/vars/{id}.
type VarsView struct {
	ExecutionID noetlwire.ID `json:"execution_id"`
	Variables   any          `json:"variables"`
	Count       int          `json:"count"`
}

// Vars returns the workload of an execution, secrets blacked out.
func (s *Service) Vars(_ context.Context, id noetlwire.ID) (VarsView, error) {
	e, ok := s.store.get(id)
	if !ok {
		return VarsView{}, errNoExecution(string(id))
	}
	return VarsView{ExecutionID: id, Variables: redacted(e.workload), Count: len(e.workload)}, nil
}

// ListRequest filters GET /api/executions. Limit 0 is the default, 50.
type ListRequest struct {
	Path   string
	Status string
	Limit  int
}

// ListView is the answer, newest first.
type ListView struct {
	Executions []SummaryView `json:"executions"`
	Count      int           `json:"count"`
}

// List lists the latest executions.
func (s *Service) List(_ context.Context, in ListRequest) (ListView, error) {
	limit, err := listLimit(in.Limit)
	if err != nil {
		return ListView{}, err
	}
	found := s.store.latest(limit, func(e *execution) bool {
		return (in.Path == "" || e.playbook.path == in.Path) && (in.Status == "" || e.summary().Status == in.Status)
	})
	v := ListView{Executions: make([]SummaryView, len(found)), Count: len(found)}
	for i, e := range found {
		v.Executions[i] = e.summary()
	}
	return v, nil
}

func listLimit(n int) (int, error) {
	if n < 0 || n > maxList {
		return 0, invalid("bad_limit", fmt.Sprintf("limit must be 1 to %d", maxList))
	}
	if n == 0 {
		n = defaultList
	}
	return n, nil
}

// CancelRequest is the body of POST /api/executions/{id}/cancel, and the id.
type CancelRequest struct {
	ExecutionID noetlwire.ID `json:"-"`
	Reason      string       `json:"reason"`
	Cascade     bool         `json:"cascade"`
}

// CancelView is the answer. Status is cancelled, or what it was if it had ended before.
type CancelView struct {
	ExecutionID noetlwire.ID   `json:"execution_id"`
	Status      string         `json:"status"`
	Cancelled   []noetlwire.ID `json:"cancelled"`
	Message     string         `json:"message"`
}

// Cancel ends an execution and, with Cascade, what was started with it as parent. To cancel
// what has ended is no error: the caller wanted it not to run, and it does not.
func (s *Service) Cancel(_ context.Context, in CancelRequest) (CancelView, error) {
	e, ok := s.store.get(in.ExecutionID)
	if !ok {
		return CancelView{}, errNoExecution(string(in.ExecutionID))
	}
	v := CancelView{ExecutionID: e.id, Status: e.statusView().Status, Cancelled: []noetlwire.ID{}, Message: "the execution had ended before"}
	cause := errCancelled
	if in.Reason != "" {
		cause = fmt.Errorf("%w: %.500s", errCancelled, in.Reason)
	}
	targets := []*execution{e}
	if in.Cascade {
		targets = append(targets, s.store.latest(maxExecutions, func(c *execution) bool { return c.parent == e.id })...)
	}
	for _, t := range targets {
		if !t.running() {
			continue
		}
		t.mu.Lock()
		t.reason = in.Reason
		t.mu.Unlock()
		t.cancel(cause)
		v.Cancelled = append(v.Cancelled, t.id)
		if t == e {
			v.Status, v.Message = "cancelled", "the execution is cancelled"
		}
	}
	return v, nil
}
