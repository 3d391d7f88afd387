package fanouttest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

type position struct {
	epoch string
	seq   uint64
}

var _ fanout.ClientStore = (*Clients)(nil)

// Clients is a client store in memory.
type Clients struct {
	owners    fake.Map[string, string]
	positions fake.Map[string, position]
}

// NewClients makes an empty store.
func NewClients() *Clients { return &Clients{} }

// Claim implements the port.
func (s *Clients) Claim(ctx context.Context, c fanout.Client) (string, error) {
	s.owners.Create(c.ID, c.Owner)
	return s.Owner(ctx, c.ID)
}

// Owner implements the port.
func (s *Clients) Owner(_ context.Context, id string) (string, error) {
	owner, _ := s.owners.Get(id)
	return owner, nil
}

// SavePosition implements the port.
func (s *Clients) SavePosition(id, epoch string, seq uint64) {
	s.positions.Put(id, position{epoch, seq})
}

// Position implements the port.
func (s *Clients) Position(_ context.Context, id string) (string, uint64, error) {
	p, _ := s.positions.Get(id)
	return p.epoch, p.seq, nil
}

var _ fanout.RequestStore = (*Requests)(nil)

// Requests is a request store in memory.
type Requests struct {
	requests fake.Map[string, fanout.Request]
}

// NewRequests makes an empty store.
func NewRequests() *Requests { return &Requests{} }

// Add implements the port.
func (s *Requests) Add(_ context.Context, r fanout.Request) error {
	r.StoredAt = time.Now()
	if !s.requests.Create(r.ID, r) {
		return fault.New(fault.Conflict, "request_exists", "taken")
	}
	return nil
}

// Get implements the port.
func (s *Requests) Get(_ context.Context, id string) (fanout.Request, error) {
	r, known := s.requests.Get(id)
	if !known {
		return r, fault.New(fault.NotFound, "request_not_found", "Request not found")
	}
	return r, nil
}

// Page implements the port: the order is that of the ids.
func (s *Requests) Page(_ context.Context, cursor string, limit int) (page []fanout.Request, next string, err error) {
	if strings.ContainsAny(cursor, " x") {
		return nil, "", fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
	}
	all := s.requests.All()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		switch {
		case id <= cursor && cursor != "":
		case len(page) == limit:
			return page, s.After(page[limit-1]), nil
		default:
			page = append(page, all[id])
		}
	}
	return page, "", nil
}

// After implements the port.
func (s *Requests) After(r fanout.Request) string { return r.ID }

// Newest implements the port; the order is that of the ids.
func (s *Requests) Newest(_ context.Context, n int) (string, error) {
	ids := slices.Sorted(maps.Keys(s.requests.All()))
	if len(ids) <= n {
		return "", nil
	}
	return ids[len(ids)-n-1], nil
}

// Recent implements the port: this process remembers nothing.
func (s *Requests) Recent(string) (fanout.Request, bool) { return fanout.Request{}, false }

// Several implements the port.
func (s *Requests) Several(_ context.Context, ids []string) ([]fanout.Request, error) {
	var known []fanout.Request
	for _, id := range ids {
		if r, ok := s.requests.Get(id); ok {
			known = append(known, r)
		}
	}
	return known, nil
}

func (s *Requests) change(r fanout.Request, edit func(*fanout.Request)) (fanout.Request, error) {
	r, known := s.requests.Change(r.ID, func(r fanout.Request, known bool) (fanout.Request, bool) {
		edit(&r)
		r.Revision++
		r.StoredAt = time.Now()
		return r, known
	})
	if !known {
		return r, fault.New(fault.NotFound, "request_not_found", "Request not found")
	}
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

// TTL implements the port.
func (s *Requests) TTL(context.Context) time.Duration { return 30 * time.Minute }

// Renew implements the port.
func (s *Requests) Renew(_ context.Context, r fanout.Request) (fanout.Request, error) {
	return s.change(r, func(*fanout.Request) {})
}

// Remove implements the port.
func (s *Requests) Remove(_ context.Context, id string) error {
	s.requests.Take(id)
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
	return slices.AppendSeq(routes, maps.Values(x.m[executionID])), nil
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
