package noetltest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// FirstExecution is the id of the first execution of a server: a float would change it.
const FirstExecution = "582940187123449857"

// catalog is what a server knows. The fields of [Server] guard it.
type catalog struct {
	started  []noetlwire.ExecuteRequest
	paths    map[string]string // of executions
	entries  map[string]string // catalog ids and their paths
	ended    map[string]string // executions that were canceled, and why
	cascaded []string
	fail     error
}

func newCatalog() catalog {
	return catalog{paths: map[string]string{}, entries: map[string]string{}, ended: map[string]string{}}
}

// Register puts an entry into the catalog.
func (s *Server) Register(catalogID, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[catalogID] = path
}

// Run adds an execution of a playbook that somebody else started.
func (s *Server) Run(executionID, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths[executionID] = path
}

// Fail makes every start return err, until it is nil.
func (s *Server) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Started returns what was started, in order; a rerun has no path.
func (s *Server) Started() []noetlwire.ExecuteRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.started)
}

// Reason returns why an execution was canceled.
func (s *Server) Reason(executionID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended[executionID]
}

// Cascaded returns the executions that were canceled with all that they started, in order.
func (s *Server) Cascaded() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.cascaded)
}

// Execute starts an execution that never ends.
func (s *Server) Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	return s.start(ctx, "execute "+in.Path, in)
}

// Rerun starts another execution. The execution 404 does not exist.
func (s *Server) Rerun(ctx context.Context, id string, workload map[string]any) (noetlwire.ExecuteResponse, error) {
	if id == "404" {
		return noetlwire.ExecuteResponse{}, notFound("execution")
	}
	return s.start(
		ctx, "rerun "+id, noetlwire.ExecuteRequest{Workload: workload, ResourceKind: noetlwire.KindPlaybook},
	)
}

func (s *Server) start(
	ctx context.Context, line string, in noetlwire.ExecuteRequest,
) (out noetlwire.ExecuteResponse, err error) {
	if s.During != nil {
		s.During(ctx)
	}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	s.mu.Lock()
	s.note(line)
	if err = s.fail; err == nil {
		first, _ := strconv.Atoi(FirstExecution)
		id := strconv.Itoa(first + len(s.started))
		s.started, s.paths[id] = append(s.started, in), in.Path
		out = noetlwire.ExecuteResponse{ExecutionID: noetlwire.ID(id), Status: "STARTED", Path: in.Path}
	}
	s.mu.Unlock()
	if err == nil && s.Begun != nil {
		s.Begun(out.ExecutionID, in)
	}
	return out, err
}

func (s *Server) note(line string) {
	if s.Journal != nil {
		s.Journal(line)
	}
}

// PlaybookOf returns the path that an execution runs.
func (s *Server) PlaybookOf(_ context.Context, executionID string) (string, error) {
	return s.find("execution", s.paths, executionID)
}

// PathOf returns the path of a catalog entry.
func (s *Server) PathOf(_ context.Context, catalogID string) (string, error) {
	return s.find("catalog entry", s.entries, catalogID)
}

func (s *Server) find(what string, in map[string]string, id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path, ok := in[id]; ok {
		return path, nil
	}
	return "", notFound(what)
}

// Status tells how an execution is doing.
func (s *Server) Status(ctx context.Context, executionID string) (noetlwire.Execution, error) {
	path, err := s.PlaybookOf(ctx, executionID)
	if err != nil {
		return noetlwire.Execution{}, err
	}
	status := noetlwire.Running
	if _, err := s.find("end", s.ended, executionID); err == nil {
		status = noetlwire.Cancelled
	}
	return noetlwire.Execution{ExecutionID: noetlwire.ID(executionID), Path: path, Status: string(status)}, nil
}

// Cancel ends an execution.
func (s *Server) Cancel(ctx context.Context, executionID, reason string, cascade bool) error {
	if _, err := s.PlaybookOf(ctx, executionID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("cancel " + executionID)
	if s.ended[executionID] = reason; cascade {
		s.cascaded = append(s.cascaded, executionID)
	}
	return nil
}

func notFound(what string) error {
	return fault.New(fault.NotFound, "noetl_404", "NoETL: no such "+what)
}

// builtIn are the routes of what is above, and /api/echo/, which answers with what it got.
func (s *Server) builtIn() http.Handler {
	mux := http.NewServeMux()
	handle(mux, "POST /api/execute", func(r *http.Request, in noetlwire.ExecuteRequest) (any, error) {
		return s.Execute(r.Context(), in)
	})
	handle(mux, "POST /api/executions/{id}/rerun", func(r *http.Request, in noetlwire.RerunRequest) (any, error) {
		return s.Rerun(r.Context(), r.PathValue("id"), in.Workload)
	})
	handle(mux, "GET /api/executions/{id}", func(r *http.Request, _ struct{}) (any, error) {
		path, err := s.PlaybookOf(r.Context(), r.PathValue("id"))
		return map[string]string{"execution_id": r.PathValue("id"), "path": path}, err
	})
	handle(mux, "GET /api/executions/{id}/status", func(r *http.Request, _ struct{}) (any, error) {
		return s.Status(r.Context(), r.PathValue("id"))
	})
	handle(mux, "POST /api/executions/{id}/cancel", func(r *http.Request, in noetlwire.CancelRequest) (any, error) {
		return map[string]string{"status": "cancelled"},
			s.Cancel(r.Context(), r.PathValue("id"), in.Reason, in.Cascade)
	})
	handle(mux, "POST /api/catalog/resource", func(r *http.Request, in struct {
		CatalogID noetlwire.ID `json:"catalog_id"`
	},
	) (any, error) {
		path, err := s.PathOf(r.Context(), string(in.CatalogID))
		return map[string]any{"catalog_id": in.CatalogID, "path": path, "kind": "Playbook", "version": 1}, err
	})
	mux.HandleFunc("/api/echo/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		httpkit.WriteJSON(w, http.StatusOK, map[string]any{
			"method": r.Method, "path": r.URL.EscapedPath(), "query": r.URL.RawQuery, "header": r.Header,
			"body": string(body),
		})
	})
	return mux
}

// handle serves a route whose body, if it has one, is JSON; numbers keep their digits, as in NoETL.
func handle[In any](mux *http.ServeMux, route string, serve func(*http.Request, In) (any, error)) {
	mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		var in In
		var out any
		dec := json.NewDecoder(r.Body)
		dec.UseNumber()
		err := dec.Decode(&in)
		if err == nil || errors.Is(err, io.EOF) {
			out, err = serve(r, in)
		}
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		httpkit.WriteJSON(w, http.StatusOK, out)
	})
}
