package sandbox

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// ExecuteRequest is the body of POST /api/execute. Workload has two names.
type ExecuteRequest struct {
	Path              string           `json:"path"`
	CatalogID         noetlwire.ID     `json:"catalog_id"`
	Workload          Workload         `json:"workload"`
	Payload           Workload         `json:"payload"`
	ResourceKind      string           `json:"resource_kind"`
	ParentExecutionID noetlwire.ID     `json:"parent_execution_id"`
	Dedup             *noetlwire.Dedup `json:"dedup"`
}

// Started is a started execution, or one that the same key started before.
type Started struct {
	ExecutionID       noetlwire.ID `json:"execution_id"`
	Status            string       `json:"status"` // started or duplicate
	CommandsGenerated int          `json:"commands_generated"`
}

// Execute starts a playbook and returns immediately. The trace of ctx goes with the execution.
func (s *Service) Execute(ctx context.Context, in ExecuteRequest) (Started, error) {
	if in.Path == "" && in.CatalogID == "" {
		return Started{}, invalid("path_missing", "Either 'path' or 'catalog_id' must be provided")
	}
	if in.ResourceKind == "" {
		in.ResourceKind = noetlwire.KindPlaybook
	}
	known := in.ResourceKind == noetlwire.KindPlaybook || in.ResourceKind == noetlwire.KindAgent
	if s.deps.Generation == Python && !known {
		return Started{}, invalid("bad_resource_kind", "Catalog kind '"+in.ResourceKind+"' is not executable")
	}
	p, err := s.catalog.find(in.Path, in.CatalogID)
	if err != nil {
		return Started{}, err
	}
	if s.deps.Generation == Python || in.Dedup == nil || in.Dedup.Key == "" {
		return s.start(ctx, p, in)
	}
	return s.dedup.once(in.Dedup, func() (Started, error) { return s.start(ctx, p, in) })
}

// BatchRequest is the body of POST /api/execute/batch.
type BatchRequest struct {
	Executions []ExecuteRequest `json:"executions"`
}

// BatchItem is what became of one execution of a batch.
type BatchItem struct {
	Index             int          `json:"index"`
	Status            string       `json:"status"` // started, duplicate or error
	ExecutionID       noetlwire.ID `json:"execution_id,omitempty"`
	CommandsGenerated int          `json:"commands_generated"`
	Error             string       `json:"error,omitempty"`
}

// BatchView is the answer.
type BatchView struct {
	Count      int         `json:"count"`
	Started    int         `json:"started"`
	Duplicates int         `json:"duplicates"`
	Failed     int         `json:"failed"`
	Results    []BatchItem `json:"results"`
}

// Batch starts many executions, each as Execute does; one that cannot be started does not hold up the others.
func (s *Service) Batch(ctx context.Context, in BatchRequest) (BatchView, error) {
	if n := len(in.Executions); n == 0 || n > maxBatch {
		return BatchView{}, invalid(
			"bad_batch",
			"execute batch requires a non-empty 'executions' array of at most 1000",
		)
	}
	v := BatchView{Count: len(in.Executions)}
	for i, one := range in.Executions {
		out, err := s.Execute(ctx, one)
		item := BatchItem{
			Index: i, Status: out.Status, ExecutionID: out.ExecutionID, CommandsGenerated: out.CommandsGenerated,
		}
		switch {
		case err != nil:
			item.Status, item.Error = "error", fault.Of(err).Message
			v.Failed++
		case out.Status == statusDuplicate:
			v.Duplicates++
		default:
			v.Started++
		}
		v.Results = append(v.Results, item)
	}
	return v, nil
}

// RerunRequest is the body of POST /api/executions/{id}/rerun, and the id.
type RerunRequest struct {
	ExecutionID  noetlwire.ID `json:"-"`
	Workload     Workload     `json:"workload"`
	ResourceKind string       `json:"resource_kind"`
}

// Rerun starts the playbook of an execution again with its variables, overlaid with those given.
func (s *Service) Rerun(ctx context.Context, in RerunRequest) (Started, error) {
	e, ok := s.store.get(in.ExecutionID)
	if !ok {
		return Started{}, errNoExecution(string(in.ExecutionID))
	}
	workload := e.about.Workload.variables() // not the answer address of somebody else's request
	maps.Copy(workload, in.Workload)
	if in.ResourceKind == "" {
		in.ResourceKind = e.kind
	}
	return s.Execute(ctx, ExecuteRequest{
		Path: e.about.Path, Workload: workload, ResourceKind: in.ResourceKind, ParentExecutionID: e.id(),
	})
}

func (s *Service) start(ctx context.Context, p *playbook, in ExecuteRequest) (Started, error) {
	if err := s.begin(); err != nil {
		return Started{}, err
	}
	workload := Workload{}
	maps.Copy(workload, in.Payload)
	maps.Copy(workload, in.Workload)
	e := &execution{
		about: Run{
			ExecutionID: s.ids.next(), CatalogID: p.id, ParentExecutionID: in.ParentExecutionID, Path: p.path,
			Workload: workload,
		},
		generation: s.deps.Generation, playbook: p, kind: in.ResourceKind, started: time.Now().UTC(), ids: &s.ids,
		status: StatusRunning, callback: callbackNone,
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
	return Started{ExecutionID: e.id(), Status: "started", CommandsGenerated: 1}, nil
}

// statusDuplicate is the status of an execution that the same key started before.
const statusDuplicate = "duplicate"

// dedup remembers which execution a key started. Bounded: beyond maxDedup keys the oldest go.
type dedup struct {
	mu    sync.Mutex
	known map[string]dedupEntry
	order []string
}

type dedupEntry struct {
	id    noetlwire.ID
	until time.Time
}

// once answers with the execution that the key started within its window, or starts one.
func (d *dedup) once(want *noetlwire.Dedup, start func() (Started, error)) (Started, error) {
	window := time.Duration(want.WindowSecs) * time.Second
	if len(want.Key) > 512 || want.WindowSecs < 0 || window > maxDedupWindow {
		return Started{}, invalid("bad_dedup",
			"dedup needs a key of at most 512 bytes and window_secs of 0 to 366 days")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	old, ok := d.known[want.Key]
	if ok && now.Before(old.until) {
		return Started{ExecutionID: old.id, Status: statusDuplicate}, nil
	}
	answer, err := start()
	if err != nil {
		return answer, err
	}
	d.known[want.Key] = dedupEntry{answer.ExecutionID, now.Add(window)}
	if !ok {
		d.order = append(d.order, want.Key)
	}
	if len(d.order) > maxDedup {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
	return answer, nil
}
