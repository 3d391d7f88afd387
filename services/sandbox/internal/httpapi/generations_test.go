package httpapi_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// script is what each generation is asked; $id is the execution that was started last, $session a session.
const script = `
GET /api/health
GET /api/nosuch
DELETE /api/execute
POST /api/execute {"path":"nope","workload":{}}
POST /api/execute {"workload":{}}
POST /api/execute {"path":"demo/echo","workload":[]}
POST /api/execute notjson
POST /api/execute {"path":"demo/echo","payload":{"message":"hi"}}
GET /api/executions/$id/status
GET /api/executions/$id/cancellation-check
GET /api/executions/$id?include_events=false
GET /api/executions/$id/events?page_size=10&event_type=call.done
GET /api/executions?limit=1
GET /api/vars/$id
GET /api/executions/999/status
GET /api/executions/999
GET /api/executions/abc/status
POST /api/executions/$id/cancel {}
POST /api/executions/999/cancel {}
POST /api/executions/$id/rerun {}
POST /api/execute {"path":"demo/slow","workload":{"seconds":60}}
POST /api/executions/$id/cancel {"reason":"enough","cascade":true}
GET /api/executions/$id/status
POST /api/executions/$id/cancel
POST /api/execute {"path":"demo/fail"}
GET /api/executions/$id/status
POST /api/auth/session/validate {}
POST /api/auth/session/validate {"session_token":"unknown","credential":"pg_auth"}
POST /api/auth/session/validate {"session_token":"$session","credential":"pg_auth"}
POST /api/auth/login {"auth0_token":"","auth0_domain":"d"}
POST /api/auth/check-playbook-access {"session_token":"$session","playbook_path":"demo/echo","action":"execute"}
POST /api/auth/check-playbook-access {"session_token":"unknown","playbook_path":"demo/echo","action":"execute"}
POST /api/catalog/resource {"path":"demo/echo"}
GET /api/catalog/demo/report/ui_schema
GET /api/catalog/demo/none/ui_schema
POST /api/catalog/register {"content":"metadata:\n  path: my/own\n"}
GET /api/internal/ingress/x
POST /api/execute/batch {"executions":[{"path":"my/own"},{"path":"nope"}]}
PUT /sandbox/faults {"mode":"database"}
GET /api/health
GET /api/nosuch
POST /api/execute {"path":"demo/echo"}
GET /api/executions/$id/status
GET /api/executions/$id
POST /api/executions/$id/cancel {}
POST /api/catalog/list {}
POST /api/auth/session/validate {"session_token":"$session","credential":"pg_auth"}
POST /api/auth/check-playbook-access {"session_token":"$session","playbook_path":"demo/echo","action":"execute"}
POST /api/auth/login {"auth0_token":"","auth0_domain":"d"}
POST /api/auth/login {"auth0_token":"a.b.c","auth0_domain":"d"}
`

// scrub takes out what differs from run to run.
func scrub(text string) string {
	for _, r := range []struct{ from, to string }{
		{`sbx_[0-9a-f_]+`, "SESSION"},
		{`[0-9]{18,19}`, "ID"},
		{`\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d(\.\d+)?`, "DATE${1}TIME"},
		{`"duration_seconds":[0-9.]+`, `"duration_seconds":0`},
		{`"uptime_seconds":\d+`, `"uptime_seconds":0`},
		{`\(near byte \d+\)`, "(near byte N)"},
	} {
		text = regexp.MustCompile(r.from).ReplaceAllString(text, r.to)
	}
	return text
}

// What servers of each generation were seen to answer, or as near as the sandbox comes to it. To write the
// golden files again: SANDBOX_GOLDEN=write go test -run TestAnswersOfEachGeneration.
func TestAnswersOfEachGeneration(t *testing.T) {
	for _, g := range sandbox.Generations() {
		t.Run(string(g), func(t *testing.T) {
			srv, c := newServerOf(t, g, false)
			session := sessionOf(t)
			id := ""
			var got strings.Builder
			for line := range strings.Lines(script) {
				line = strings.TrimSpace(line)
				if line == "" {
					continue
				}
				method, rest, _ := strings.Cut(line, " ")
				target, body, _ := strings.Cut(rest, " ")
				fill := strings.NewReplacer("$id", id, "$session", session)
				a := send(t, c, method, srv.URL+fill.Replace(target), fill.Replace(body))
				fmt.Fprintf(
					&got, "%s\n%d %s\n%s\n\n", line, a.status, a.header.Get("Content-Type"),
					scrub(strings.TrimSpace(a.body)),
				)
				if m := regexp.MustCompile(`"execution_id":"(\d+)","status":"started"`).
					FindStringSubmatch(a.body); m != nil {
					id = m[1]
					ends(t, c, srv.URL, id)
				}
			}
			golden(t, filepath.Join("testdata", string(g)+".golden"), got.String())
		})
	}
}

// ends waits until an execution has ended, or waits itself.
func ends(t *testing.T, c *http.Client, base, id string) {
	t.Helper()
	testkit.Eventually(t, "the execution ends, or its second step waits", func() bool {
		body := send(t, c, http.MethodGet, base+"/sandbox/executions/"+id, "").body
		return !strings.Contains(body, `"RUNNING"`) || strings.Contains(body, `"command.started wait"`)
	})
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("SANDBOX_GOLDEN") == "write" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Error(diff)
	}
}

// sessionOf makes a session of the demo account, whatever routes there are.
func sessionOf(t *testing.T) string {
	t.Helper()
	srv, c := newServer(t)
	login := send(
		t, c, http.MethodPost, srv.URL+"/api/auth/login",
		`{"auth0_token":"e30.eyJlbWFpbCI6ImRlbW9AZXhhbXBsZS5jb20ifQ.x"}`,
	)
	m := regexp.MustCompile(`"session_token":"([^"]+)"`).FindStringSubmatch(login.body)
	if m == nil {
		t.Fatal(login.body)
	}
	return m[1]
}
