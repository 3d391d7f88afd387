package httpapi

import (
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

// PlainSecret is what the routes that hand out secrets answer with: where it turns up, something leaks.
const PlainSecret = "sandbox-plain-secret" //nolint:gosec // no secret of anybody: tests look for it

type object = map[string]any

// answer is a route that says the same whoever asks; the body of the request is read and dropped.
func answer(body any) http.Handler {
	return answering(http.StatusOK, func(*http.Request) any { return body })
}

// answering is a route that says something about what it is asked.
func answering(status int, body func(*http.Request) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := httpkit.ReadBody(r, maxBody); err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		write(w, wire.JSON(status, body(r)))
	})
}

// done is the answer of routes that only do something.
func done() http.Handler { return answer(object{"status": "ok", "message": "done"}) }

// ofExecution is a route about an execution whose id is a path value, or query parameter, id or execution_id.
func (a api) ofExecution(shape func(sandbox.View) any) http.Handler {
	return serve(a, "noetl.detail", a.Service.Look, func(r *http.Request) (noetlwire.ID, error) {
		if r.PathValue("id") == "" {
			id := r.URL.Query().Get("execution_id")
			if id == "" {
				return "", fault.New(fault.Invalid, wire.CodeBadQuery, "missing field `execution_id`")
			}
			r.SetPathValue("id", id)
		}
		return decodeID(r)
	}, shape)
}

// secretOf is a credential, with its secret for who asks for it.
func secretOf(name string, with bool) object {
	c := object{
		"id": "770000000000000101", "name": name, "type": "postgres", "meta": object{}, "tags": []string{"sandbox"},
		"description": "a credential of the sandbox", "created_at": "2026-01-01T00:00:00Z",
		"updated_at": "2026-01-01T00:00:00Z",
	}
	if with {
		c["data"] = object{"db_host": "postgres", "db_user": "noetl", "db_password": PlainSecret}
	}
	return c
}

// stateOf is how the replay and the projections tell of an execution.
func stateOf(v sandbox.View) any {
	state := object{
		"tenant_id": "default", "organization_id": "default", "execution_id": v.ExecutionID, "projection": "all",
		"event_count": len(v.Events), "path": v.Path, "status": v.Status, "workload": v.Workload, "result": v.Result,
	}
	if n := len(v.Events); n > 0 {
		state["last_event_id"], state["last_event_type"] = v.Events[n-1].ID, v.Events[n-1].Type
	}
	return state
}

func eventsOf(v sandbox.View) []any {
	rows := []any{}
	for _, e := range v.Events {
		rows = append(
			rows,
			object{"event_id": e.ID, "event_type": e.Type, "node_name": e.Node, "status": e.Status, "result": e.Result},
		)
	}
	return rows
}

// otherRoutes are those of several generations that nothing of the gateway itself calls. Their answers are
// plausible, and little more.
func (a api) otherRoutes() []route {
	rows := append(a.stateRoutes(), a.secretRoutes()...)
	rows = append(append(rows, a.workerRoutes()...), a.newerRoutes()...)
	return append(rows, a.feedRoutes()...)
}

func (a api) stateRoutes() []route {
	return []route{
		{
			every, "GET /api/pool/status",
			answer(object{"pool_min": 2, "pool_max": 10, "pool_size": 2, "pool_available": 2, "status": "ok"}),
		},
		{
			every, "GET /api/status",
			answer(object{"system": object{"cpu_percent": 1.0}, "process": object{"pid": 1, "num_threads": 4}}),
		},
		{every, "GET /api/threads", answer([]any{object{"thread_id": 1, "name": "main", "is_alive": true}})},
		{
			every, "GET /api/profiler/status",
			answer(object{"is_profiling": false, "profiler_type": nil, "message": "not profiling"}),
		},
		{every, "POST /api/profiler/memory/start", done()},
		{every, "POST /api/profiler/memory/stop", done()},
		{
			every, "GET /api/dashboard/stats",
			answer(object{"status": "ok", "stats": object{"total_executions": 1}, "total_executions": 1}),
		},
		{every, "GET /api/dashboard/widgets", answer(object{"widgets": []any{}})},
		{every, "POST /api/executions/{id}/finalize", a.ofExecution(func(v sandbox.View) any {
			return object{
				"execution_id": v.ExecutionID,
				"status":       "already_completed",
				"message":      "nothing to finalize",
			}
		})},
		{every, "GET /api/replay/state", a.ofExecution(stateOf)},
		{every, "POST /api/vars/{id}", a.ofExecution(func(v sandbox.View) any {
			return object{"execution_id": v.ExecutionID, "variables_set": 1, "status": "ok"}
		})},
		{every, "DELETE /api/vars/{id}", a.ofExecution(func(v sandbox.View) any {
			return object{"execution_id": v.ExecutionID, "variables_deleted": 0, "status": "ok"}
		})},
		{every, "GET /api/vars/{id}/{name}", http.HandlerFunc(a.oneVariable)},
		{every, "DELETE /api/vars/{id}/{name}", a.ofExecution(func(v sandbox.View) any {
			return object{"execution_id": v.ExecutionID, "status": "deleted"}
		})},
		{
			every, "GET /api/worker/pools",
			answer(object{"items": []any{object{"name": "shared", "status": "ready"}}, "count": 1}),
		},
	}
}

func (a api) oneVariable(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	a.ofExecution(func(v sandbox.View) any {
		return object{"execution_id": v.ExecutionID, "var_name": name, "var_value": v.Workload[name], "status": "ok"}
	}).ServeHTTP(w, r)
}

func (a api) secretRoutes() []route {
	named := func(with bool) http.Handler {
		return answering(http.StatusOK, func(r *http.Request) any {
			return secretOf(r.PathValue("name"), with || r.URL.Query().Get("include_data") == "true")
		})
	}
	return []route{
		{every, "GET /api/credentials", answer(object{"items": []any{secretOf("pg_auth", false)}})},
		{every, "POST /api/credentials", answer(secretOf("pg_auth", false))},
		{every, "GET /api/credentials/{name}", named(false)},
		{
			every, "DELETE /api/credentials/{name}",
			answer(object{"message": "Credential deleted successfully", "id": "770000000000000101"}),
		},
		{newer, "GET /api/credentials/{name}/sealed", answer(object{"sealed": PlainSecret, "algorithm": "x25519"})},
		{
			every, "GET /api/keychain/{catalog_id}/{name}",
			answer(object{"status": "success", "data": object{"token": PlainSecret}}),
		},
		{every, "POST /api/keychain/{catalog_id}/{name}", answer(object{"status": "success", "cache_key": "sandbox"})},
		{
			every, "DELETE /api/keychain/{catalog_id}/{name}",
			answer(object{"status": "success", "cache_key": "sandbox"}),
		},
		{every, "GET /api/keychain/catalog/{catalog_id}", answering(http.StatusOK, func(r *http.Request) any {
			return object{"catalog_id": r.PathValue("catalog_id"), "entries": []any{object{"keychain_name": "sandbox"}}}
		})},
		{
			every, "POST /api/postgres/execute",
			answer(object{"status": "ok", "result": []any{object{"rolpassword": PlainSecret}}}),
		},
		{every, "POST /api/db/init", done()},
		{every, "GET /api/db/validate", answer(object{"status": "ok", "message": "schema is valid", "valid": true})},
	}
}

func (a api) workerRoutes() []route {
	command := object{
		"execution_id": 770000000000000201,
		"node_id":      "start",
		"node_name":    "start",
		"action":       "python",
		"context":      object{},
		"meta":         object{},
	}
	return []route{
		{
			newer, "POST /api/events/batch",
			answer(object{"status": "ok", "event_ids": []int64{770000000000000301}, "commands_generated": 0}),
		},
		{every, "GET /api/commands/{event_id}", answer(command)},
		{every, "POST /api/commands/{event_id}/claim", answer(command)},
		{
			every, "POST /api/worker/pool/register",
			answer(object{"status": "ok", "name": "shared", "runtime_id": "770000000000000401"}),
		},
		{every, "DELETE /api/worker/pool/deregister", done()},
		{every, "POST /api/worker/pool/heartbeat", done()},
	}
}

// newerRoutes are those of the Rust server, before and since 3.60.
func (a api) newerRoutes() []route {
	subscription := object{
		"subscription_id": "770000000000000501", "path": "demo/webhook", "catalog_id": "770000000000000502",
		"state": "active", "last_event_type": "subscription.registered",
	}
	rows := []route{
		{newer, "GET /api/runtime/shard-info", a.ofExecution(func(v sandbox.View) any {
			return object{"execution_id": v.ExecutionID, "shard_count": 1, "shard_index": 0, "source": "noetl-server"}
		})},
		{newer, "GET /api/subscriptions", answer(object{"subscriptions": []any{subscription}})},
		{newer, "POST /api/subscriptions", answer(subscription)},
		{newer, "POST /api/subscriptions/register", answer(subscription)},
		{newer, "GET /api/subscriptions/{sub}", answer(subscription)},
		{newer, "POST /api/subscriptions/{sub}/{action}", answer(subscription)},
		{
			newer, "GET /api/ehdb",
			answer(object{"action": "ehdb.index", "service": "ehdb-query-interface", "read_only": true}),
		},
		{newer, "GET /api/ehdb/executions", serve(a, "noetl.list", a.Service.List, decodeList,
			func(views []sandbox.View) any {
				return object{
					"action": "ehdb.executions.list", "tier": "projection", "returned": len(views),
					"executions": wire.List(a.Generation, views),
				}
			})},
		{newer, "GET /api/ehdb/executions/{id}", a.ofExecution(func(v sandbox.View) any {
			return object{
				"action": "ehdb.execution.state", "tier": "projection", "execution_id": v.ExecutionID, "exists": true,
				"state": stateOf(v),
			}
		})},
		{newer, "GET /api/ehdb/executions/{id}/events", a.ofExecution(func(v sandbox.View) any {
			return object{
				"action":       "ehdb.execution.events",
				"tier":         "projection",
				"execution_id": v.ExecutionID,
				"events":       eventsOf(v),
			}
		})},
		{
			newer, "GET /api/ehdb/events",
			answer(object{"action": "ehdb.events.scan", "tier": "eventlog", "returned": 0, "events": []any{}}),
		},
		{newer, "GET /api/ehdb/tiers/{tier}", answering(http.StatusNotImplemented, func(r *http.Request) any {
			return object{
				"action":    "ehdb.tier.query",
				"tier":      r.PathValue("tier"),
				"status":    "relay-not-configured",
				"read_only": true,
			}
		})},
		{newer, "PUT /api/result/{id}", answer(object{"status": "ok", "uri": "noetl://result/1"})},
		{newer, "GET /api/result/resolve", answer(object{"data": object{"secret": PlainSecret}})},
	}
	for _, pattern := range []string{
		"POST /api/internal/cross-region/resolve", "POST /api/internal/wallet/rotate-kek",
		"GET /api/internal/wallet/key-status", "GET /api/internal/secret-audit",
		"POST /api/internal/container-callback/{id}/{step}", "POST /api/internal/projection/advance",
		"POST /api/internal/events/materialize", "POST /api/internal/events/project", "POST /api/internal/outbox/claim",
		"POST /api/internal/outbox/mark-published", "POST /api/internal/outbox/mark-failed",
		"GET /api/internal/outbox/pending-count", "POST /api/internal/cleanup/purge",
		"POST /api/internal/plugins/{path...}",
		"GET /api/internal/plugins/{path...}", "PUT /api/internal/objects/{key...}",
		"GET /api/internal/objects/{key...}", "GET /api/internal/cells", "POST /api/internal/result-tier/gc",
	} {
		rows = append(rows, route{newer, pattern, a.internal(done())})
	}
	return rows
}

// feedRoutes are those of the newest servers alone.
func (a api) feedRoutes() []route {
	rows := []route{
		{feed, "GET /api/ehdb/parity/self-test", answer(object{"action": "ehdb.parity.self-test", "status": "ok"})},
		{feed, "GET /api/ehdb/parity/executions/{id}", a.ofExecution(func(v sandbox.View) any {
			return object{
				"action":       "ehdb.parity.execution",
				"execution_id": v.ExecutionID,
				"status":       "match",
				"state":        stateOf(v),
			}
		})},
	}
	for _, step := range []string{"mark", "confirm", "release"} {
		rows = append(rows, route{feed, "POST /api/internal/sink-state/" + step, a.internal(done())})
	}
	return rows
}

// catalogPath answers what stands under the catalog by its path: the form of a playbook's variables, and on
// the Python server an entry by its id.
func (a api) catalogPath(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	in := sandbox.ResourceRequest{}
	name, isForm := strings.CutSuffix(path, "/ui_schema")
	switch {
	case isForm:
		in.Path = name
	case a.Generation == sandbox.Python && path != "" && !strings.Contains(path, "/"):
		in.CatalogID = noetlwire.ID(path)
	default:
		a.fail(r.Context(), w, fault.New(fault.NotFound, wire.CodeNoRoute, "Not Found"))
		return
	}
	decode := func(*http.Request) (sandbox.ResourceRequest, error) { return in, nil }
	if isForm {
		serve(a, "noetl.ui_schema", a.Service.UISchema, decode, wire.UISchema).ServeHTTP(w, r)
		return
	}
	serve(a, "noetl.resource", a.Service.Resource, decode, func(e sandbox.Entry) any {
		return wire.Entry(a.Generation, e)
	}).ServeHTTP(w, r)
}
