package edgetest

import (
	"sync"

	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Origins = (*Origins)(nil)

// Origins is a memory without a bound.
type Origins struct {
	mu    sync.Mutex
	paths map[string]string
}

// Get implements the port.
func (o *Origins) Get(executionID string) (path string, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	path, known = o.paths[executionID]
	return path, known
}

// Set implements the port.
func (o *Origins) Set(executionID, path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.paths == nil {
		o.paths = map[string]string{}
	}
	o.paths[executionID] = path
}

// OpenTable is a table that has no route and lets everybody start, read and change executions.
func OpenTable() *edge.Table {
	classes := map[edge.Class]edge.ClassRule{}
	for _, class := range []edge.Class{edge.Start, edge.ReadExecution, edge.ChangeExecution} {
		classes[class] = edge.ClassRule{Roles: []string{edge.AnyRole}}
	}
	table, err := edge.NewTable("test", classes, nil, nil)
	if err != nil {
		panic(err) // no rule can be wrong
	}
	return table
}
