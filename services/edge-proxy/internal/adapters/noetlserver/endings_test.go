package noetlserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// endingServer tells how executions ended as the Python server 2.103.4 was seen to, or as the sources of the Rust
// server 3.83.1 say (services/execution.rs). Executions have two steps, start and last.
type endingServer struct {
	behind *toolstest.Endings
	python bool
}

func (s endingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/executions/"), "/")
	e, err := s.behind.Ending(r.Context(), id)
	switch kind, failed := fault.KindOf(err); {
	case failed && kind == fault.NotFound:
		httpkit.WriteJSON(w, http.StatusNotFound, map[string]any{"detail": "Execution not found"})
		return
	case failed:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	state := e.State
	if state == noetlwire.Running && e.Error != "" { // the word of both, while other steps run
		state = noetlwire.Failed
	}
	events := s.events(e)
	switch {
	case rest == "" && s.python && r.URL.Query().Get("include_events") == "false":
		httpkit.WriteJSON(w, http.StatusOK, map[string]any{
			"execution_id": id, "path": "a/b", "status": state, "result": nil, "error": nil, "events": []any{},
			"events_included": false, "start_time": moment(time.Hour), "end_time": moment(time.Minute),
		})
	case rest == "" && !s.python:
		httpkit.WriteJSON(w, http.StatusOK, map[string]any{
			"execution_id": 1, "path": "a/b", "status": state, "started_at": moment(time.Hour), "workload": nil,
			"events": events,
		})
	case rest == "events" && s.python:
		kind, newest := r.URL.Query().Get("event_type"), []map[string]any{}
		for _, e := range events {
			if kind == "" || e["event_type"] == kind {
				newest = append([]map[string]any{e}, newest...)
			}
		}
		httpkit.WriteJSON(w, http.StatusOK, map[string]any{"status": state, "events": newest})
	case rest == "status" && s.python:
		httpkit.WriteJSON(w, http.StatusOK, map[string]any{
			"completed": state == noetlwire.Completed, "failed": state == noetlwire.Failed,
			"completion_inferred": false,
			"variables":           map[string]any{"x": 1, "start": "first", "last": variable(e.Result)},
		})
	default:
		httpkit.WriteJSON(w, http.StatusNotFound, map[string]any{"detail": "Not Found"})
	}
}

// variable is a result as the Python server keeps it: an object has a copy of itself as context.
func variable(result json.RawMessage) any {
	if result == nil {
		return map[string]any{"_value": nil, "context": map[string]any{"_value": nil}}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(result, &object) != nil || object["context"] != nil {
		return result
	}
	object["context"] = result
	return object
}

func moment(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC3339Nano) }

// events are oldest first.
func (s endingServer) events(e noetlwire.Ending) []map[string]any {
	all := []map[string]any{}
	tell := func(kind, node string, within map[string]any) map[string]any {
		row := map[string]any{
			"event_id": len(all) + 1, "event_type": kind, "node_name": node, "status": "x", "error": nil,
			"created_at": moment(time.Minute), "result": map[string]any{"status": "x", "context": within},
		}
		all = append(all, row)
		return row
	}
	for _, step := range []string{"start", "last"} {
		about := map[string]any{"command_id": step + "-1"}
		tell("command.started", step, about)
		switch {
		case step == "start":
			tell("call.done", step, s.call(about, "first"))
			tell("command.completed", step, about)
		case e.Error != "":
			tell("command.failed", step, about)["error"] = e.Error
		case e.State == noetlwire.Completed:
			tell("call.done", step, s.call(about, e.Result))
			tell("command.completed", step, about)
		}
	}
	switch e.State {
	case noetlwire.Completed:
		tell("playbook.completed", "a/b", nil)["context"] = map[string]any{"final_step": "last"}
	case noetlwire.Failed:
		tell("playbook.failed", "a/b", nil)["context"] = map[string]any{"final_step": "last"}
	case noetlwire.Running:
		tell("command.started", "repair", map[string]any{"command_id": "repair-1"})
	case noetlwire.Cancelled:
	}
	return all
}

// call is the context of the result of a call. That of the Python server has the members of an object, without lists.
func (s endingServer) call(about map[string]any, result any) map[string]any {
	out := map[string]any{"command_id": about["command_id"]}
	if !s.python {
		out["result"] = map[string]any{
			"status": "success", "context": map[string]any{"data": result, "duration_ms": 1, "exit_code": 0},
		}
	}
	return out
}

func TestEndingsConformance(t *testing.T) {
	for name, python := range map[string]bool{"rust": false, "python": true} {
		t.Run(name, func(t *testing.T) {
			toolstest.RunEndings(t, func(t *testing.T) (tools.Endings, *toolstest.Endings) {
				t.Helper()
				behind := toolstest.NewEndings()
				return connect(t, endingServer{behind, python}), behind
			})
		})
	}
}
