package sandbox

import (
	"context"
	"fmt"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Look tells all about an execution. As at real servers that includes its workload, tokens and all.
func (s *Service) Look(_ context.Context, id noetlwire.ID) (View, error) {
	e, ok := s.store.get(id)
	if !ok {
		return View{}, errNoExecution(string(id))
	}
	v := e.view()
	if n := len(v.Events); n > maxEvents {
		v.Events = v.Events[n-maxEvents:]
	}
	return v, nil
}

// ListRequest filters GET /api/executions. Limit 0 is the default, 50. Offset is how many that match are left out
// before the first; Page, from 1, says it in pages of Limit.
type ListRequest struct {
	Path   string
	Status string
	Limit  int
	Offset int
	Page   int
}

// List lists the latest executions, newest first.
func (s *Service) List(_ context.Context, in ListRequest) ([]View, error) {
	limit, err := listLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	found := s.store.latest(max(0, in.Offset, (in.Page-1)*limit), limit, func(e *execution) bool {
		return (in.Path == "" || e.about.Path == in.Path) && (in.Status == "" || e.view().Status == in.Status)
	})
	views := make([]View, len(found))
	for i, e := range found {
		views[i] = e.view()
	}
	return views, nil
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

// CancelView is the answer. Before is the status that the execution had.
type CancelView struct {
	ExecutionID noetlwire.ID
	Before      string
	Cancelled   []noetlwire.ID
}

// Cancel ends an execution. The Python server also ends, with Cascade, what was started with it as parent,
// and keeps the reason; the Rust server does neither, and refuses to cancel what has ended.
func (s *Service) Cancel(_ context.Context, in CancelRequest) (CancelView, error) {
	e, ok := s.store.get(in.ExecutionID)
	if !ok {
		return CancelView{}, errNoExecution(string(in.ExecutionID))
	}
	v := CancelView{ExecutionID: e.id(), Before: e.view().Status}
	targets := []*execution{e}
	if s.deps.Generation != Python {
		in.Reason = ""
	} else if in.Cascade {
		targets = append(
			targets,
			s.store.latest(0, maxExecutions, func(c *execution) bool { return c.about.ParentExecutionID == e.id() })...,
		)
	}
	for _, t := range targets {
		if t.stop(in.Reason) {
			t.cancel(errCancelled)
			v.Cancelled = append(v.Cancelled, t.id())
		}
	}
	if s.deps.Generation != Python && len(v.Cancelled) == 0 {
		return CancelView{}, fault.New(fault.Invalid, "ended", "Cannot cancel execution in "+e.view().Status+" state")
	}
	return v, nil
}
