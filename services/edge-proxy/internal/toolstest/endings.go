package toolstest

import (
	"context"
	"sync"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var _ tools.Endings = (*Endings)(nil)

// Endings is a NoETL in memory that was told how its executions ended. It is safe for concurrent use.
type Endings struct {
	fake.Failing

	mu    sync.Mutex
	known map[string]noetlwire.Ending
	asked map[string]int
}

// NewEndings makes a fake that knows no execution.
func NewEndings() *Endings {
	return &Endings{known: map[string]noetlwire.Ending{}, asked: map[string]int{}}
}

// Put tells the fake how an execution ended, or that it is Running.
func (e *Endings) Put(executionID string, ending noetlwire.Ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[executionID] = ending
}

// Asked returns how often it was asked about an execution.
func (e *Endings) Asked(executionID string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[executionID]
}

// Ending implements the port.
func (e *Endings) Ending(ctx context.Context, executionID string) (noetlwire.Ending, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked[executionID]++
	if err := e.Err(); err != nil {
		return noetlwire.Ending{}, err
	}
	if err := ctx.Err(); err != nil {
		return noetlwire.Ending{}, err
	}
	ending, known := e.known[executionID]
	if !known {
		return noetlwire.Ending{}, fault.New(fault.NotFound, "noetl_404", "NoETL: there is no such execution")
	}
	return ending, nil
}
