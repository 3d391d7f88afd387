package sandbox

import (
	"slices"
	"sync"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

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
	x.byID[e.id()] = e
	x.order = append(x.order, e)
	x.grow(e, sizeOf(e.about.Workload))
}

// grew tells that an execution now holds more, and makes room for it.
func (x *executions) grew(e *execution, by int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byID[e.id()] == e {
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
		delete(x.byID, oldest.id())
	}
}

func (x *executions) get(id noetlwire.ID) (*execution, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.byID[id]
	return e, ok
}

// latest returns at most n executions that match, newest first, after the first skip of them.
func (x *executions) latest(skip, n int, match func(*execution) bool) []*execution {
	x.mu.Lock()
	defer x.mu.Unlock()
	var found []*execution
	for _, e := range slices.Backward(x.order) {
		if len(found) == n {
			break
		}
		switch {
		case !match(e):
		case skip > 0:
			skip--
		default:
			found = append(found, e)
		}
	}
	return found
}
