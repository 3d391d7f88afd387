package edgetest

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var (
	_ edge.NoETL      = (*NoETL)(nil)
	_ edge.Catalog    = (*NoETL)(nil)
	_ edge.Executions = (*NoETL)(nil)
)

// NoETL starts nothing and remembers it. The execution "404" does not exist.
type NoETL struct {
	mu      sync.Mutex
	journal *Journal
	started []noetlwire.ExecuteRequest
	paths   map[string]string
	entries map[string]string // catalog ids and their paths
	ended   map[string]string // executions that were cancelled, and why
	fail    error
	// During, if set, is called while an execution starts.
	During func(ctx context.Context)
}

// FirstExecution is the id of the first execution of a [NoETL]: a float would change it.
const FirstExecution = "582940187123449857"

// NewNoETL makes the fake; journal may be nil.
func NewNoETL(journal *Journal) *NoETL {
	return &NoETL{
		journal: journal,
		paths:   map[string]string{},
		entries: map[string]string{},
		ended:   map[string]string{},
	}
}

// Register puts an entry into the catalog.
func (n *NoETL) Register(catalogID, path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries[catalogID] = path
}

// Run adds an execution of a playbook, started by somebody else.
func (n *NoETL) Run(executionID, path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[executionID] = path
}

// PathOf implements the port.
func (n *NoETL) PathOf(_ context.Context, catalogID string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if path, ok := n.entries[catalogID]; ok {
		return path, nil
	}
	return "", fault.New(fault.NotFound, "noetl_404", "NoETL: no such catalog entry")
}

// Status implements the port.
func (n *NoETL) Status(_ context.Context, executionID string) (noetlwire.Execution, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path, ok := n.paths[executionID]
	if !ok {
		return noetlwire.Execution{}, fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
	}
	status := "RUNNING"
	if _, ended := n.ended[executionID]; ended {
		status = "CANCELLED"
	}
	return noetlwire.Execution{ExecutionID: noetlwire.ID(executionID), Path: path, Status: status}, nil
}

// Cancel implements the port.
func (n *NoETL) Cancel(_ context.Context, executionID, reason string, _ bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.paths[executionID]; !ok {
		return fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
	}
	n.journal.Add("cancel " + executionID)
	n.ended[executionID] = reason
	return nil
}

// Reason returns why an execution was cancelled.
func (n *NoETL) Reason(executionID string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ended[executionID]
}

// Fail makes every start return err, until it is nil.
func (n *NoETL) Fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

// Started returns what was started, in order; a rerun has no path.
func (n *NoETL) Started() []noetlwire.ExecuteRequest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.started)
}

// Execute implements the port.
func (n *NoETL) Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	return n.start(ctx, "execute "+in.Path, in)
}

// Rerun implements the port.
func (n *NoETL) Rerun(
	ctx context.Context, executionID string, workload map[string]any,
) (noetlwire.ExecuteResponse, error) {
	if executionID == "404" {
		return noetlwire.ExecuteResponse{}, fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
	}
	return n.start(
		ctx, "rerun "+executionID,
		noetlwire.ExecuteRequest{Workload: workload, ResourceKind: noetlwire.KindPlaybook},
	)
}

// PlaybookOf implements the port.
func (n *NoETL) PlaybookOf(_ context.Context, executionID string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if path, ok := n.paths[executionID]; ok {
		return path, nil
	}
	return "", fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
}

func (n *NoETL) start(
	ctx context.Context, line string, in noetlwire.ExecuteRequest,
) (noetlwire.ExecuteResponse, error) {
	if n.During != nil {
		n.During(ctx)
	}
	if err := ctx.Err(); err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.journal.Add(line)
	if n.fail != nil {
		return noetlwire.ExecuteResponse{}, n.fail
	}
	first, err := strconv.ParseInt(FirstExecution, 10, 64)
	if err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	id := strconv.FormatInt(first+int64(len(n.started)), 10)
	n.started, n.paths[id] = append(n.started, in), in.Path
	return noetlwire.ExecuteResponse{ExecutionID: noetlwire.ID(id), Status: "STARTED", Path: in.Path}, nil
}
