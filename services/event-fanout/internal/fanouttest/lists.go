package fanouttest

import (
	"context"
	"slices"
	"sync"

	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.RequestLists = (*Lists)(nil)

// Lists are lists of requests in memory.
type Lists struct {
	fake.Failing

	mu       sync.Mutex
	revision uint64
	lists    map[fanout.List][]fanout.ListedRequest // oldest first
}

// NewLists makes empty lists.
func NewLists() *Lists { return &Lists{lists: map[fanout.List][]fanout.ListedRequest{}} }

// Add implements the port.
func (x *Lists) Add(_ context.Context, l fanout.List, r fanout.ListedRequest) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.Err(); err != nil {
		return err
	}
	x.remove(l, r.RequestID)
	x.revision++
	r.Revision = x.revision
	x.lists[l] = append(x.lists[l], r)
	return nil
}

// All implements the port.
func (x *Lists) All(_ context.Context, l fanout.List) ([]fanout.ListedRequest, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := slices.Clone(x.lists[l])
	slices.Reverse(all)
	return all, x.Err()
}

// Count implements the port.
func (x *Lists) Count(_ context.Context, l fanout.List) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.lists[l]), x.Err()
}

// Trim implements the port.
func (x *Lists) Trim(_ context.Context, l fanout.List, newest int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lists[l] = x.lists[l][max(0, len(x.lists[l])-newest):]
	return x.Err()
}

// Delete implements the port.
func (x *Lists) Delete(_ context.Context, l fanout.List, requestID string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(l, requestID)
	return x.Err()
}

func (x *Lists) remove(l fanout.List, requestID string) {
	x.lists[l] = slices.DeleteFunc(x.lists[l], func(r fanout.ListedRequest) bool { return r.RequestID == requestID })
}
