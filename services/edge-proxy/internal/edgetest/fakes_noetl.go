package edgetest

import (
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var (
	_ edge.NoETL      = (*noetltest.Server)(nil)
	_ edge.Catalog    = (*noetltest.Server)(nil)
	_ edge.Executions = (*noetltest.Server)(nil)
)

// NewNoETL makes a NoETL whose starts are in the journal, which may be nil.
func NewNoETL(journal *Journal) *noetltest.Server {
	n := noetltest.New()
	n.Journal = journal.Add
	return n
}
