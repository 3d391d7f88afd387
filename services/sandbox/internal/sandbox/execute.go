package sandbox

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// ExecuteRequest is the body of POST /api/execute.
type ExecuteRequest struct {
	Path              string           `json:"path"`
	CatalogID         noetlwire.ID     `json:"catalog_id"`
	Workload          Workload         `json:"workload"`
	ResourceKind      string           `json:"resource_kind"`
	ParentExecutionID noetlwire.ID     `json:"parent_execution_id"`
	Dedup             *noetlwire.Dedup `json:"dedup"`
}

// Execute starts a playbook and returns at once. The trace of ctx goes with the execution.
func (s *Service) Execute(ctx context.Context, in ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	if in.Path == "" && in.CatalogID == "" {
		return noetlwire.ExecuteResponse{}, invalid("path_missing", "path is required: the path of a playbook, such as demo/echo")
	}
	if in.ResourceKind == "" {
		in.ResourceKind = noetlwire.KindPlaybook
	}
	if in.ResourceKind != noetlwire.KindPlaybook && in.ResourceKind != noetlwire.KindAgent {
		return noetlwire.ExecuteResponse{}, invalid("bad_resource_kind", "resource_kind must be playbook or agent")
	}
	p, err := s.catalog.find(in.Path, in.CatalogID)
	if err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	if in.Dedup == nil || in.Dedup.Key == "" {
		return s.start(ctx, p, in)
	}
	return s.dedup.once(in.Dedup, func() (noetlwire.ExecuteResponse, error) { return s.start(ctx, p, in) })
}

// RerunRequest is the body of POST /api/executions/{id}/rerun, and the id.
type RerunRequest struct {
	ExecutionID  noetlwire.ID `json:"-"`
	Workload     Workload     `json:"workload"`
	ResourceKind string       `json:"resource_kind"`
}

// Rerun starts the playbook of an execution again with its variables, overlaid with those given.
func (s *Service) Rerun(ctx context.Context, in RerunRequest) (noetlwire.ExecuteResponse, error) {
	e, ok := s.store.get(in.ExecutionID)
	if !ok {
		return noetlwire.ExecuteResponse{}, errNoExecution(string(in.ExecutionID))
	}
	workload := e.workload.variables() // not the answer address of somebody else's request
	maps.Copy(workload, in.Workload)
	if in.ResourceKind == "" {
		in.ResourceKind = e.kind
	}
	return s.Execute(ctx, ExecuteRequest{Path: e.playbook.path, Workload: workload, ResourceKind: in.ResourceKind, ParentExecutionID: e.id})
}

func (s *Service) start(ctx context.Context, p *playbook, in ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	if err := s.begin(); err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	if in.Workload == nil {
		in.Workload = Workload{}
	}
	e := &execution{
		id: s.ids.next(), playbook: p, workload: in.Workload, kind: in.ResourceKind, parent: in.ParentExecutionID,
		started: time.Now().UTC(), status: StatusRunning, callback: callbackNone,
	}
	// The execution outlives the call but keeps its trace.
	out, stop := context.WithCancel(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(s.life, stop) //nolint:contextcheck // two lives end it: its own and the service's
	run, cancel := context.WithCancelCause(out)
	e.cancel = cancel
	s.store.add(e)
	go func() {
		defer s.end()
		defer stop()
		defer unlink()
		s.run(run, out, e)
	}()
	return noetlwire.ExecuteResponse{ExecutionID: e.id, Status: "started", Name: p.name(), Path: p.path}, nil
}

// dedup remembers which execution a key started. Bounded: beyond maxDedup keys the oldest go.
type dedup struct {
	mu    sync.Mutex
	known map[string]dedupEntry
	order []string
}

type dedupEntry struct {
	answer noetlwire.ExecuteResponse
	until  time.Time
}

// once answers with the execution that the key started within its window, or starts one.
func (d *dedup) once(want *noetlwire.Dedup, start func() (noetlwire.ExecuteResponse, error)) (noetlwire.ExecuteResponse, error) {
	window := time.Duration(want.WindowSecs) * time.Second
	if len(want.Key) > 512 || want.WindowSecs < 0 || window > maxDedupWindow {
		return noetlwire.ExecuteResponse{}, invalid("bad_dedup", "dedup needs a key of at most 512 bytes and window_secs from 0 to 86400")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	old, ok := d.known[want.Key]
	if ok && now.Before(old.until) {
		return old.answer, nil
	}
	answer, err := start()
	if err != nil {
		return answer, err
	}
	d.known[want.Key] = dedupEntry{answer, now.Add(window)}
	if !ok {
		d.order = append(d.order, want.Key)
	}
	if len(d.order) > maxDedup {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
	return answer, nil
}
