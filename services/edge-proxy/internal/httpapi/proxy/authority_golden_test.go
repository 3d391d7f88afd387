package proxy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// calls are all routes of NoETL's API that are known, with what real clients send. The executions 1 and 2 run
// demo/ok and demo/bad, 666 runs an auth playbook; the catalog entries 1, 2 and 666 are of the same playbooks.
func calls() []string {
	return []string{
		"GET health",
		"GET status",
		"GET pool/status",
		"GET runtime/shard-info?execution_id=1&shard_count=4",
		"GET worker/pools",
		"GET dashboard/stats",
		"GET dashboard/widgets",

		`POST execute {"path":"demo/ok","workload":{}}`,
		`POST execute {"path":"demo/bad"}`,
		`POST execute {"catalog_id":"1"}`,
		`POST execute {"path":"api_integration/auth0/auth0_login"}`,
		`POST execute {"path":"api_integration/auth0/user_management@2"}`,
		`POST execute {"path":"own/login"}`,
		`POST execute {"catalog_id":666}`,
		`POST execute {"path":"demo/ok","execution_pool":"system"}`,
		`POST execute {"path":"demo/ok","parent_execution_id":666}`,
		`POST execute/batch {"executions":[{"path":"demo/ok"},{"catalog_id":"1"}]}`,
		`POST execute/batch {"executions":[{"path":"demo/ok"},{"path":"demo/bad"}]}`,
		`POST execute/batch {"executions":[{"path":"demo/ok"},{"path":"api_integration/auth0/auth0_login",` +
			`"workload":{"request_id":"x"}}]}`,
		`POST executions/1/rerun {"workload":{}}`,
		`POST executions/2/rerun {}`,
		`POST executions/666/rerun {}`,
		`POST executions/1/analyze/ai {}`,
		`POST executions/1/analyze/ai {"analysis_playbook_path":"own/login"}`,
		`POST executions/666/analyze/ai {}`,
		`POST catalog/playbooks/explain/ai {"path":"demo/ok"}`,
		`POST catalog/playbooks/generate/ai {"prompt":"x"}`,
		`POST catalog/playbooks/generate/ai {"prompt":"x","generator_playbook_path":"api_integration/auth0/` +
			`auth0_login"}`,
		`POST mcp/demo/ok/lifecycle/start {}`,
		`POST mcp/demo/ok/discover {}`,
		`POST mcp/playbook/demo/ok/jsonrpc {"method":"tools/call"}`,
		`POST mcp/playbook/api_integration/auth0/auth0_login/jsonrpc {"method":"tools/call"}`,

		"GET executions",
		"GET executions/1",
		"GET executions/2",
		"GET executions/666",
		"GET executions/1/status",
		"GET executions/666/status",
		"GET executions/1/events",
		"GET executions/666/events",
		"GET executions/1/cancellation-check",
		"GET executions/666/cancellation-check",
		"POST executions/1/analyze {}",
		"POST executions/666/analyze {}",
		"GET executions/666.0",
		"GET executions/+666",
		"GET executions/0666",
		"GET executions/6_66",
		"GET ehdb",
		"GET ehdb/executions",
		"GET ehdb/executions/1",
		"GET ehdb/executions/666",
		"GET ehdb/executions/1/events",
		"GET ehdb/executions/666/events",
		"GET ehdb/events",
		"GET ehdb/tiers/eventlog?execution=1",
		"GET ehdb/tiers/eventlog?execution=666",
		"GET ehdb/parity/executions/666",
		"GET ehdb/parity/self-test",
		"GET replay/state?execution_id=1",
		"GET replay/state?execution_id=666",
		"GET replay/state?execution_id=666.0",
		"GET replay/state",
		"GET result/1",
		"GET result/666",
		"GET result/1/step",
		"GET result/666/list",
		"GET result/stats",
		"GET result/resolve?ref=noetl://execution/1/result/s/x",
		"GET result/resolve?ref=noetl://execution/666/result/s/x",
		"GET result/resolve?ref=noetl://t/p/results/666/s/0/0/1",
		"GET result/resolve?ref=noetl://execution_666_result_s_x",
		"GET api/result/resolve?ref=noetl://execution/666/result/s/x",
		"GET api/temp/666/x",
		"GET vars/1",
		"GET vars/666",
		"GET vars/666/x",
		"GET api/temp/resolve?ref=noetl://execution/666/tmp/s/x",
		"GET api/result/stats",
		"GET api/temp/stats",
		"GET api/result/1/s",
		"GET api/result/666/s",
		"GET temp/1",
		"GET temp/666",
		"GET temp/666/x",
		"GET aggregate/loop/results?execution_id=1",
		"GET aggregate/loop/results?execution_id=666",
		"GET event/5",
		"GET events/batch/r/status",
		"GET events/batch/r/stream",

		"POST executions/1/cancel {}",
		"POST executions/2/cancel {}",
		"POST executions/666/cancel {}",
		"POST executions/1/stop {}",
		"POST executions/1/finalize {}",
		"POST executions/666/finalize {}",
		"POST vars/1 {}",
		"POST vars/666 {}",
		"POST vars/1/x {}",
		"POST vars/666/x {}",
		"DELETE vars/1",
		"DELETE vars/1/x",
		"DELETE vars/666/x",
		"POST executions/cleanup {}",

		`POST catalog/list {"resource_type":"Playbook"}`,
		`POST catalog/agents/list {}`,
		"GET catalog/list/Playbook",
		`POST catalog/resource {"path":"demo/ok"}`,
		`POST catalog/resource {"path":"demo/bad"}`,
		`POST catalog/resource {"catalog_id":"2"}`,
		`POST catalog/resource {"path":"api_integration/auth0/auth0_login"}`,
		"GET catalog/demo/ok/ui_schema",
		"GET catalog/demo/bad/ui_schema",
		"GET catalog/playbook?playbook_id=demo/ok",
		"GET catalog/playbook/content?playbook_id=2",
		"POST catalog/playbooks/validate {}",
		"GET catalog/1",
		"GET playbook-tests/suites/demo/ok",

		`POST catalog/register {"content":"metadata: {path: demo/ok}"}`,
		`POST catalog/register {"content":"metadata: {path: demo/bad}"}`,
		`POST catalog/register {"content":"metadata: {path: api_integration/auth0/auth0_login}"}`,
		`POST catalog/register {"content":"metadata: {path: demo/ok}\nworkflow: [{tool: {kind: playbook, path: own/` +
			`login}}]"}`,
		`POST catalog/delete {"path":"demo/ok"}`,
		`POST catalog/delete {"path":" api_integration/auth0/auth0_login "}`,
		`POST catalog/restore {"path":"demo/ok"}`,
		`PUT catalog/playbook?playbook_id=1 {"content":"metadata: {path: demo/ok}"}`,
		`PUT catalog/playbook/content?playbook_id=666 {"content":"metadata: {path: demo/ok}"}`,
		"DELETE catalog/playbooks/1",
		"DELETE catalog/playbooks/666",
		`PUT playbook-tests/suites/demo/ok {}`,
		"DELETE playbook-tests/suites/demo/ok",

		"GET subscriptions",
		`POST subscriptions {"path":"demo/ok"}`,
		`POST subscriptions/register {"path":"demo/ok"}`,
		`POST subscriptions/register {"path":"own/login"}`,
		"GET subscriptions/5",
		"POST subscriptions/5/pause {}",

		"GET credentials",
		"POST credentials {}",
		"GET credentials/pg_auth?include_data=true",
		"DELETE credentials/pg_auth",
		"GET credentials/pg_auth/sealed?worker_id=w",
		"GET keychain/5/x",
		"POST keychain/5/x {}",
		"DELETE keychain/5/x",
		"GET keychain/catalog/5",
		"POST gcp/token {}",
		"POST postgres/execute {}",
		"POST db/init {}",
		"GET db/validate",
		"GET postgres/weather_alert_summary/1/last",
		"GET threads",
		"GET profiler/status",
		"POST profiler/memory/start",
		"POST profiler/memory/stop",

		"POST events {}",
		"POST events/batch {}",
		"GET commands/5",
		"POST commands/5/claim {}",
		"PUT result/1 {}",
		"PUT temp/1 {}",
		"DELETE result/1",
		"PUT result/1/step/x {}",
		"DELETE temp/1",
		"PUT temp/1/step/x {}",
		"PUT api/result/1 {}",
		"DELETE api/result/1/step/x",
		"PUT api/temp/1 {}",
		"DELETE api/temp/1/step/x",
		"POST worker/pool/deregister {}",
		"PUT internal/objects/x {}",
		"PATCH internal/x {}",
		"DELETE internal/x",
		"GET auth/x",
		"PUT auth/x {}",
		"PATCH auth/x {}",
		"DELETE auth/x",
		"POST context/render {}",
		"POST worker/pool/register {}",
		"DELETE worker/pool/deregister",
		"POST worker/pool/heartbeat {}",
		"POST stages/5/frames/claim {}",
		"POST frames/5/heartbeat {}",
		"POST frames/5/commit {}",

		"GET internal/cells",
		"POST internal/outbox/claim {}",
		"POST auth/login {}",
		"POST auth/session/validate {}",
		"GET nothing",
		"GET Executions/1",
		"POST executions",
	}
}

// Every known route for four kinds of users under the three values of GATEWAY_ENFORCE_ACCESS. Auth lets everybody
// execute
// and view demo/ok and modify it, and everybody view all of demo.
func TestAuthorityOverNoETL(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# call: role: answer without enforced access, with execute, with all\n")
	for _, call := range calls() {
		fmt.Fprintf(&b, "%s\n", call)
		for _, role := range []string{"nobody", "viewer", "developer", "admin"} {
			fmt.Fprintf(&b, "  %-9s", role)
			var answers []string
			for _, enforce := range []edge.Enforcement{edge.EnforceOff, edge.EnforceExecute, edge.EnforceAll} {
				answers = append(answers, decided(t, call, role, enforce))
			}
			b.WriteString("  " + strings.Join(answers, " · ") + "\n")
		}
	}
	got := b.String()
	const file = "testdata/authority.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("set UPDATE_GOLDEN=1 to write it again\n%s", diff)
	}
}

// decided sends one call and says what became of it: passed, or the code of the refusal.
func decided(t *testing.T, call, role string, enforce edge.Enforcement) string {
	t.Helper()
	a := rule(t, func(d *edge.Deps) { d.Enforce = enforce })
	for id, path := range map[string]string{
		"1": "demo/ok", "2": "demo/bad", "666": "api_integration/auth0/auth0_login",
	} {
		a.noetl.Register(id, path)
		a.noetl.Run(id, path)
	}
	for _, permission := range []string{"execute", "view", "modify"} {
		a.auth.GrantAs(permission, "demo/ok")
	}
	a.auth.GrantAs("view", "demo/bad")
	up := &capture{}
	session := &authwire.Session{User: authwire.User{UserID: 7, Roles: []string{role}}}
	p := proxy.New(proxy.Config{
		Base: parse(t, "http://noetl.example"), MaxBody: maxBody, Logger: quiet(), Transport: up, Authority: a,
		Identify: func(*http.Request) (edge.Caller, error) {
			return edge.Caller{Session: session, Token: authwire.NewToken(token)}, nil
		},
	})
	method, rest, _ := strings.Cut(call, " ")
	path, body, _ := strings.Cut(rest, " ")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/noetl/"+path, strings.NewReader(body)))
	if up.reached != (w.Code == http.StatusOK) {
		t.Errorf("%s as %s: NoETL was reached: %t, answer %d", call, role, up.reached, w.Code)
	}
	if w.Code == http.StatusOK {
		return "passes"
	}
	var refusal struct{ Code string }
	if err := json.Unmarshal(w.Body.Bytes(), &refusal); err != nil || refusal.Code == "" {
		t.Errorf("%s as %s: %d %s", call, role, w.Code, w.Body)
	}
	return fmt.Sprintf("%d %s", w.Code, refusal.Code)
}
