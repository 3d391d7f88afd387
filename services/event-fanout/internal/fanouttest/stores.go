package fanouttest

import (
	"context"
	"sync"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

type position struct {
	epoch string
	seq   uint64
}

var _ fanout.ClientStore = (*Clients)(nil)

// Clients is a client store in memory.
type Clients struct {
	mu        sync.Mutex
	owners    map[string]string
	positions map[string]position
}

// NewClients makes an empty store.
func NewClients() *Clients {
	return &Clients{owners: map[string]string{}, positions: map[string]position{}}
}

// Claim implements the port.
func (s *Clients) Claim(_ context.Context, c fanout.Client) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owners[c.ID] == "" {
		s.owners[c.ID] = c.Owner
	}
	return s.owners[c.ID], nil
}

// Owner implements the port.
func (s *Clients) Owner(_ context.Context, id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owners[id], nil
}

// SavePosition implements the port.
func (s *Clients) SavePosition(id, epoch string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.positions[id] = position{epoch, seq}
}

// Position implements the port.
func (s *Clients) Position(_ context.Context, id string) (string, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.positions[id]
	return p.epoch, p.seq, nil
}

var _ fanout.RequestStore = (*Requests)(nil)

// Requests is a request store in memory.
type Requests struct {
	mu sync.Mutex
	m  map[string]fanout.Request
}

// NewRequests makes an empty store.
func NewRequests() *Requests { return &Requests{m: map[string]fanout.Request{}} }

// Add implements the port.
func (s *Requests) Add(_ context.Context, r fanout.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.m[r.ID]; known {
		return fault.New(fault.Conflict, "request_exists", "taken")
	}
	s.m[r.ID] = r
	return nil
}

// Get implements the port.
func (s *Requests) Get(_ context.Context, id string) (fanout.Request, error) {
	return s.change(fanout.Request{ID: id}, func(*fanout.Request) {})
}

// Recent implements the port: this process remembers nothing.
func (s *Requests) Recent(string) (fanout.Request, bool) { return fanout.Request{}, false }

// Several implements the port.
func (s *Requests) Several(_ context.Context, ids []string) ([]fanout.Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var known []fanout.Request
	for _, id := range ids {
		if r, ok := s.m[id]; ok {
			known = append(known, r)
		}
	}
	return known, nil
}

func (s *Requests) change(r fanout.Request, edit func(*fanout.Request)) (fanout.Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.m[r.ID]
	if !known {
		return r, fault.New(fault.NotFound, "request_not_found", "Request not found")
	}
	edit(&r)
	r.Revision++
	s.m[r.ID] = r
	return r, nil
}

// Bind implements the port.
func (s *Requests) Bind(_ context.Context, r fanout.Request, executionID string) (fanout.Request, error) {
	return s.change(r, func(r *fanout.Request) {
		if r.ExecutionID == "" {
			r.ExecutionID = executionID
		}
	})
}

// Finish implements the port.
func (s *Requests) Finish(_ context.Context, r fanout.Request) (fanout.Request, error) {
	return s.change(r, func(r *fanout.Request) { r.Done = true })
}

// Keep implements the port.
func (s *Requests) Keep(_ context.Context, r fanout.Request, result string) (fanout.Request, error) {
	return s.change(r, func(r *fanout.Request) {
		if r.Result == "" {
			r.Result = result
		}
	})
}

// End implements the port.
func (s *Requests) End(_ context.Context, r fanout.Request, eventType string) (fanout.Request, error) {
	return s.change(r, func(r *fanout.Request) {
		if r.Pending() {
			r.Ended = eventType
		}
	})
}

// Remove implements the port.
func (s *Requests) Remove(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
	return nil
}

var _ fanout.RouteIndex = (*Routes)(nil)

// Routes is a route index in memory.
type Routes struct {
	mu       sync.Mutex
	revision uint64
	m        map[string]map[string]fanout.Route
}

// NewRoutes makes an empty index.
func NewRoutes() *Routes { return &Routes{m: map[string]map[string]fanout.Route{}} }

// Put implements the port.
func (x *Routes) Put(_ context.Context, executionID string, r fanout.Route) (fanout.Route, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.m[executionID] == nil {
		x.m[executionID] = map[string]fanout.Route{}
	}
	if _, known := x.m[executionID][r.RequestID]; !known {
		x.set(executionID, r)
	}
	return x.m[executionID][r.RequestID], nil
}

func (x *Routes) set(executionID string, r fanout.Route) {
	x.revision++
	r.Revision = x.revision
	x.m[executionID][r.RequestID] = r
}

// Get implements the port.
func (x *Routes) Get(_ context.Context, executionID, requestID string) (fanout.Route, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, found := x.m[executionID][requestID]
	return r, found, nil
}

// ByExecution implements the port.
func (x *Routes) ByExecution(_ context.Context, executionID string) ([]fanout.Route, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var routes []fanout.Route
	for _, r := range x.m[executionID] {
		routes = append(routes, r)
	}
	return routes, nil
}

// Advance implements the port.
func (x *Routes) Advance(_ context.Context, executionID string, r fanout.Route) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now, known := x.m[executionID][r.RequestID]; known && now.Revision == r.Revision {
		x.set(executionID, r)
	}
	return nil
}

// Delete implements the port.
func (x *Routes) Delete(_ context.Context, executionID, requestID string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.m[executionID], requestID)
	return nil
}

// AdvanceAll implements the port.
func (x *Routes) AdvanceAll(ctx context.Context, executionID string, routes []fanout.Route, through uint64) error {
	for _, r := range routes {
		r.Through = through
		if err := x.Advance(ctx, executionID, r); err != nil {
			return err
		}
	}
	return nil
}

// DeleteAll implements the port.
func (x *Routes) DeleteAll(_ context.Context, executionID string, routes []fanout.Route) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range routes {
		if x.m[executionID][r.RequestID].Revision == r.Revision {
			delete(x.m[executionID], r.RequestID)
		}
	}
	return nil
}
