// Package nearmemory remembers things in this process, up to a number of them.
package nearmemory

import (
	"github.com/maypok86/otter/v2"

	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Origins = (*Origins)(nil)

// Origins is the adapter. It is safe for concurrent use.
type Origins struct {
	cache *otter.Cache[string, string]
}

// maxExecutions is how many executions are remembered: about 250 bytes each.
const maxExecutions = 20_000

// NewOrigins makes the memory.
func NewOrigins() *Origins {
	return &Origins{cache: otter.Must(&otter.Options[string, string]{MaximumSize: maxExecutions})}
}

// Get implements the port.
func (h *Origins) Get(executionID string) (path string, known bool) {
	return h.cache.GetIfPresent(executionID)
}

// Set implements the port.
func (h *Origins) Set(executionID, path string) { h.cache.Set(executionID, path) }
