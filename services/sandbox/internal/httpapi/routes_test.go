package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/sandbox/internal/httpapi"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// routes are those of the real servers, by the generations that have them: p, r and f.
const routes = `
prf GET health
prf GET pool/status
prf GET status
prf GET worker/pools
prf GET dashboard/stats
prf GET dashboard/widgets
rf  GET runtime/shard-info?execution_id=$id&shard_count=4
prf POST execute
rf  POST execute/batch
prf GET executions
prf GET executions/$id
prf GET executions/$id/status
p   GET executions/$id/events
prf GET executions/$id/cancellation-check
p   POST executions/$id/analyze
p   POST executions/$id/analyze/ai
p   POST executions/cleanup
prf POST executions/$id/cancel
prf POST executions/$id/finalize
rf  GET ehdb
rf  GET ehdb/executions
rf  GET ehdb/executions/$id
rf  GET ehdb/executions/$id/events
rf  GET ehdb/events
rf  GET ehdb/tiers/kv
f   GET ehdb/parity/executions/$id
f   GET ehdb/parity/self-test
prf GET replay/state?execution_id=$id
rf  PUT result/$id
rf  GET result/resolve
prf GET vars/$id
prf POST vars/$id
prf DELETE vars/$id
prf GET vars/$id/a
prf DELETE vars/$id/a
prf POST catalog/list
prf POST catalog/resource
prf POST catalog/register
f   POST catalog/delete
f   POST catalog/restore
prf GET catalog/demo/echo/ui_schema
p   POST catalog/agents/list
p   GET catalog/playbook
p   GET catalog/playbook/content
p   PUT catalog/playbook
p   PUT catalog/playbook/content
p   POST catalog/playbooks/validate
p   POST catalog/playbooks/generate/ai
p   POST catalog/playbooks/explain/ai
p   DELETE catalog/playbooks/5
p   GET playbook-tests/suites/a/b
p   PUT playbook-tests/suites/a/b
p   DELETE playbook-tests/suites/a/b
rf  GET subscriptions
rf  POST subscriptions
rf  POST subscriptions/register
rf  GET subscriptions/5
rf  POST subscriptions/5/pause
prf GET credentials
prf POST credentials
prf GET credentials/pg_auth
prf DELETE credentials/pg_auth
rf  GET credentials/pg_auth/sealed
prf GET keychain/5/x
prf POST keychain/5/x
prf DELETE keychain/5/x
prf GET keychain/catalog/5
prf POST postgres/execute
prf POST db/init
prf GET db/validate
prf POST events
prf POST events/batch
p   GET events/batch/5/status
p   GET events/batch/5/stream
prf GET commands/5
prf POST commands/5/claim
prf POST worker/pool/register
prf DELETE worker/pool/deregister
p   POST worker/pool/deregister
prf POST worker/pool/heartbeat
prf GET threads
prf GET profiler/status
prf POST profiler/memory/start
prf POST profiler/memory/stop
prf POST auth/session/validate
rf  POST auth/login
rf  POST auth/check-playbook-access
rf  GET internal/ingress/orders
rf  POST internal/outbox/claim
rf  GET internal/objects/a/b
f   POST internal/sink-state/mark
p   POST mcp/demo/echo/lifecycle/start
p   POST mcp/demo/echo/discover
p   POST mcp/playbook/demo/echo/jsonrpc
p   GET event/5
p   GET aggregate/loop/results
p   GET api/result/5/step
p   GET api/result/5/list
p   GET api/result/stats
p   GET api/result/resolve
p   PUT api/result/5
p   DELETE api/result/5
p   DELETE api/result/5/step/a
p   GET api/temp/5/name
p   PUT api/temp/5
p   POST context/render
p   POST stages/5/frames/claim
p   POST frames/5/heartbeat
p   POST frames/5/commit
p   POST gcp/token
p   GET postgres/weather_alert_summary/5/last
`

func TestEachGenerationHasItsRoutes(t *testing.T) {
	for g, letter := range map[sandbox.Generation]string{sandbox.Python: "p", sandbox.Rust: "r", sandbox.Feed: "f"} {
		t.Run(string(g), func(t *testing.T) {
			srv, c := newServerOf(t, g, false)
			started := send(t, c, http.MethodPost, srv.URL+"/api/execute", `{"path":"demo/echo","workload":{"a":"1"}}`)
			id := regexp.MustCompile(`\d{18,19}`).FindString(started.body)
			ends(t, c, srv.URL, id)
			for line := range strings.Lines(routes) {
				fields := strings.Fields(strings.ReplaceAll(line, "$id", id))
				if len(fields) != 3 {
					continue
				}
				body := ""
				if fields[1] == http.MethodPost || fields[1] == http.MethodPut {
					body = `{"path":"demo/echo","execution_id":"` + id +
						`","event_type":"x","session_token":"x","playbook_path":"x","content":"path: x",` +
						`"executions":[{"path":"demo/echo"}]}`
				}
				got := send(t, c, fields[1], srv.URL+"/api/"+fields[2], body, "Authorization", "Bearer "+internalToken)
				there := got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed
				if there != strings.Contains(fields[0], letter) {
					t.Errorf("%s: %d %s", strings.TrimSpace(line), got.status, got.body)
				}
				if there && got.status >= 400 && got.status != http.StatusNotImplemented &&
					!strings.HasSuffix(fields[2], "/cancel") {
					t.Errorf("%s: %d %s", strings.TrimSpace(line), got.status, got.body)
				}
			}
		})
	}
}

func TestTheRerunRouteIsThereOnDemand(t *testing.T) {
	for _, g := range sandbox.Generations() {
		for _, there := range []bool{false, true} {
			srv, c := newServerOf(t, g, there)
			id := regexp.MustCompile(`\d{18,19}`).FindString(
				send(t, c, http.MethodPost, srv.URL+"/api/execute", `{"path":"demo/echo"}`).body,
			)
			got := send(t, c, http.MethodPost, srv.URL+"/api/executions/"+id+"/rerun", `{"workload":{}}`)
			if (got.status == http.StatusOK) != there || (got.status == http.StatusNotFound) == there {
				t.Errorf("%s, %v: %d %s", g, there, got.status, got.body)
			}
		}
	}
}

// Routes of the Model Context Protocol run the playbook at the path in them.
func TestAgentRoutesRunTheirPlaybook(t *testing.T) {
	srv, c := newServerOf(t, sandbox.Python, false)
	for _, route := range []string{"demo/echo/lifecycle/start", "demo/echo/discover", "playbook/demo/echo/jsonrpc"} {
		got := send(t, c, http.MethodPost, srv.URL+"/api/mcp/"+route, `{}`)
		id := regexp.MustCompile(`\d{18,19}`).FindString(got.body)
		if detail := send(t, c, http.MethodGet, srv.URL+"/sandbox/executions/"+id, ""); !strings.Contains(
			detail.body, `"path":"demo/echo"`,
		) {
			t.Errorf("%s: %s, %s", route, got.body, detail.body)
		}
	}
	if got := send(t, c, http.MethodPost, srv.URL+"/api/mcp/demo/echo", `{}`); got.status != http.StatusNotFound {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestRequestsAreRemembered(t *testing.T) {
	srv, c := newServer(t)
	type list struct {
		Requests []struct {
			Seq                 uint64
			Method, Path, Query string
		}
		Last uint64
	}
	read := func(query string) (l list) {
		t.Helper()
		if err := json.Unmarshal(
			[]byte(send(t, c, http.MethodGet, srv.URL+"/sandbox/requests"+query, "").body), &l,
		); err != nil {
			t.Fatal(err)
		}
		return l
	}
	send(t, c, http.MethodGet, srv.URL+"/api/executions?limit=1&limit=2", "")
	send(t, c, http.MethodDelete, srv.URL+"/api/credentials/a%2Fb", "")
	send(t, c, http.MethodPut, srv.URL+"/sandbox/faults", `{"mode":"error"}`)
	send(t, c, http.MethodPatch, srv.URL+"/api/nothing//x", "")
	send(t, c, http.MethodGet, srv.URL+"/api/echo", "")
	all := read("")
	const want = "[{1 GET /api/executions limit=1&limit=2} {2 DELETE /api/credentials/a%2Fb } " +
		"{3 PATCH /api/nothing//x } {4 GET /api/echo }]"
	if got := fmt.Sprint(all.Requests); got != want || all.Last != 4 {
		t.Errorf("%s, last %d", got, all.Last)
	}
	if after := read("?since=3"); len(after.Requests) != 1 || after.Requests[0].Seq != 4 {
		t.Errorf("since 3: %+v", after)
	}
	send(t, c, http.MethodDelete, srv.URL+"/sandbox/requests", "")
	if none := read(""); len(none.Requests) != 0 || none.Last != 4 {
		t.Errorf("forgotten: %+v", none)
	}
	send(t, c, http.MethodGet, srv.URL+"/api/echo/"+strings.Repeat("x", 20<<10), "")
	for range 900 {
		send(t, c, http.MethodGet, srv.URL+"/api/echo/"+strings.Repeat("y", 10<<10), "")
	}
	if bounded := read(""); len(bounded.Requests) > 820 || bounded.Last != 905 {
		t.Errorf("%d requests of 10 KiB are kept", len(bounded.Requests))
	}
}

func TestSessionsAreChangedByTests(t *testing.T) {
	srv, c := newServer(t)
	session := sessionOf(t)
	validate := func() string {
		return send(t, c, http.MethodPost, srv.URL+"/api/auth/session/validate", `{"session_token":"`+session+`"}`).body
	}
	if got := send(
		t, c, http.MethodPut, srv.URL+"/sandbox/sessions/"+session, `{"expires_at":"2100-01-02T03:04:05Z"}`,
	); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := validate(); !strings.Contains(got, "2100-01-02 03:04:05") {
		t.Errorf("prolonged: %s", got)
	}
	if got := send(
		t, c, http.MethodPut, srv.URL+"/sandbox/sessions/"+session, `{"active":false,"kv":true}`,
	); !strings.Contains(got.body, `"active":false`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := validate(); !strings.Contains(got, `"valid":false`) {
		t.Errorf("ended: %s", got)
	}
	for body, want := range map[string]int{`{}`: 400, `{"expires_at":"soon"}`: 400, `{"active":1}`: 400} {
		if got := send(t, c, http.MethodPut, srv.URL+"/sandbox/sessions/"+session, body); got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
}

// What hands out a secret says the same one, so that tests can look for it.
func TestSecretsAreToBeFound(t *testing.T) {
	srv, c := newServer(t)
	for path, secret := range map[string]bool{
		"credentials": false, "credentials/pg_auth": false, "credentials/pg_auth?include_data=true": true,
		"credentials/x/sealed": true, "keychain/5/x": true,
	} {
		body := send(t, c, http.MethodGet, srv.URL+"/api/"+path, "").body
		if strings.Contains(body, httpapi.PlainSecret) != secret {
			t.Errorf("%s: %s", path, body)
		}
	}
}
