// Package nearmemory remembers things in this process, up to a number of them.
package nearmemory

import (
	"github.com/maypok86/otter/v2"

	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Hidden = (*Hidden)(nil)

// Hidden is the adapter. It is safe for concurrent use.
type Hidden struct {
	cache *otter.Cache[string, bool]
}

// maxExecutions is how many executions are remembered: about 150 bytes each.
const maxExecutions = 20_000

// NewHidden makes the memory.
func NewHidden() *Hidden {
	return &Hidden{cache: otter.Must(&otter.Options[string, bool]{MaximumSize: maxExecutions})}
}

// Get implements the port.
func (h *Hidden) Get(executionID string) (hidden, known bool) {
	return h.cache.GetIfPresent(executionID)
}

// Set implements the port.
func (h *Hidden) Set(executionID string, hidden bool) { h.cache.Set(executionID, hidden) }
