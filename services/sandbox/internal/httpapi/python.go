package httpapi

import (
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

// pythonRoutes are those that only the Python server has. Results and temporary values stand under a doubled
// prefix there. Those about catalog/playbook are of earlier servers, and the graphical interface calls them.
func (a api) pythonRoutes() []route {
	return append(append(a.pythonReads(), a.pythonStarts()...), a.pythonStores()...)
}

func (a api) pythonReads() []route {
	analysis := a.ofExecution(func(v sandbox.View) any {
		return object{
			"execution_id": v.ExecutionID, "path": v.Path, "status": v.Status, "summary": "nothing to see",
			"events": eventsOf(v),
		}
	})
	content := object{"path": "demo/echo", "version": 1, "content": "apiVersion: noetl.io/v2\nkind: Playbook\n"}
	suite := object{"suite_id": "demo", "tests": []any{}}
	return []route{
		{python, "POST /api/executions/{id}/analyze", analysis},
		{python, "POST /api/executions/{id}/analyze/ai", analysis},
		{python, "POST /api/executions/cleanup", answer(object{"status": "ok", "cancelled": 0})},
		{python, "POST /api/catalog/agents/list", answer(object{"entries": []any{}})},
		{python, "GET /api/catalog/playbook", answer(content)},
		{python, "GET /api/catalog/playbook/content", answer(content)},
		{python, "PUT /api/catalog/playbook", answer(content)},
		{python, "PUT /api/catalog/playbook/content", answer(content)},
		{python, "POST /api/catalog/playbooks/validate", answer(object{"valid": true, "errors": []any{}})},
		{python, "POST /api/catalog/playbooks/generate/ai", answer(content)},
		{
			python, "POST /api/catalog/playbooks/explain/ai",
			answer(object{"explanation": "it returns what it is given"}),
		},
		{python, "DELETE /api/catalog/playbooks/{name}", done()},
		{python, "GET /api/playbook-tests/suites/{suite...}", answer(suite)},
		{python, "PUT /api/playbook-tests/suites/{suite...}", answer(suite)},
		{python, "DELETE /api/playbook-tests/suites/{suite...}", done()},
		{
			python, "GET /api/event/{event_id}",
			answer(object{"event_id": "770000000000000301", "event_type": "call.done", "status": "COMPLETED"}),
		},
		{python, "GET /api/event/{$}", answer(object{"events": []any{}, "count": 0})},
		{python, "GET /api/aggregate/loop/results", answer(object{"status": "ok", "results": []any{}})},
		{python, "POST /api/events/batch", answering(http.StatusAccepted, func(*http.Request) any {
			return object{"status": "accepted", "request_id": "770000000000000601", "event_ids": []string{}}
		})},
		{
			python, "GET /api/events/batch/{request}/status",
			answer(object{"request_id": "770000000000000601", "state": "completed"}),
		},
		{python, "GET /api/events/batch/{request}/stream", http.HandlerFunc(batchStream)},
		{python, "POST /api/context/render", a.renderRoute()},
	}
}

// batchStream tells how a batch is doing until it has ended, which it has.
func batchStream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = w.Write([]byte("event: completed\ndata: {\"state\":\"completed\"}\n\n")) // the peer may be gone
}

// renderRoute renders a template with the variables of an execution, which it hands out by that.
func (a api) renderRoute() http.Handler {
	type request struct {
		ExecutionID string `json:"execution_id"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := decodeBody[request](a)(r)
		if err != nil {
			a.fail(r.Context(), w, err)
			return
		}
		r.SetPathValue("id", in.ExecutionID)
		a.ofExecution(func(v sandbox.View) any { return object{"status": "ok", "rendered": v.Workload} }).
			ServeHTTP(w, r)
	})
}

// pythonStarts are the routes of the Model Context Protocol: they run the playbook at the path in them.
func (a api) pythonStarts() []route {
	return []route{{python, "POST /api/mcp/{path...}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := agentPath(r.PathValue("path"))
		if !ok {
			a.fail(r.Context(), w, fault.New(fault.NotFound, wire.CodeNoRoute, "Not Found"))
			return
		}
		serve(a, "noetl.execute", a.Service.Execute, func(r *http.Request) (sandbox.ExecuteRequest, error) {
			arguments, err := optionalJSON[sandbox.Workload](r)
			return sandbox.ExecuteRequest{Path: path, Workload: arguments}, err
		}, func(s sandbox.Started) any {
			return object{
				"status": s.Status, "execution_id": s.ExecutionID, "jsonrpc": "2.0", "id": 1,
				"result": object{"execution_id": s.ExecutionID},
			}
		}).ServeHTTP(w, r)
	})}}
}

// agentPath takes the path of a playbook out of {path}/lifecycle/{verb}, {path}/discover and playbook/{path}/jsonrpc.
func agentPath(route string) (string, bool) {
	if path, ok := strings.CutSuffix(route, "/discover"); ok {
		return path, path != ""
	}
	if path, ok := strings.CutSuffix(route, "/jsonrpc"); ok {
		return strings.CutPrefix(path, "playbook/")
	}
	parts := strings.Split(route, "/")
	if n := len(parts); n > 2 && parts[n-2] == "lifecycle" {
		return strings.Join(parts[:n-2], "/"), true
	}
	return "", false
}

func (a api) pythonStores() []route {
	rows := []route{
		{python, "POST /api/worker/pool/deregister", done()},
		{python, "POST /api/stages/{stage}/frames/claim", answer(object{"frames": []any{}})},
		{python, "POST /api/frames/{frame}/heartbeat", done()},
		{python, "POST /api/frames/{frame}/commit", done()},
		{python, "POST /api/gcp/token", answer(object{"access_token": PlainSecret, "token_type": "Bearer"})},
		{
			python, "GET /api/postgres/weather_alert_summary/{execution}/last",
			answer(object{"status": "ok", "row": nil}),
		},
	}
	secret := object{"data": object{"secret": PlainSecret}}
	for kind, name := range map[string]string{"result": "step", "temp": "name"} {
		base := "/api/api/" + kind + "/"
		rows = append(
			rows,
			route{
				python,
				"PUT " + base + "{execution}",
				answer(object{"status": "ok", "ref": "noetl://" + kind + "/1"}),
			},
			route{python, "GET " + base + "{execution}/{" + name + "}", answer(secret)},
			route{python, "GET " + base + "resolve", answer(secret)},
			route{python, "GET " + base + "{execution}/list", answer(object{"refs": []any{}})},
			route{python, "DELETE " + base + "{execution}", done()},
			route{python, "DELETE " + base + "{execution}/step/{" + name + "}", done()},
			route{python, "GET " + base + "stats", answer(object{"count": 0})},
		)
	}
	return rows
}
