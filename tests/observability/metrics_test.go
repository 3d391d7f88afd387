// Package observability_test holds the dashboards and alert rules of deployments against what the
// programs export: built binaries, real traffic, the text of /metrics.
package observability_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// Every name, label and value that a dashboard, an alert, the test of an alert or the operator's table of
// metrics names is there, whether the services run split or in one process; the table leaves none out; and
// what they export is well-formed.
func TestDashboardsAndAlertsAskForWhatIsExported(t *testing.T) {
	t.Parallel()
	files := files{expressions: inDeployments(t), series: inRuleTests(t), table: inOperations(t)}
	t.Run("split", func(t *testing.T) {
		t.Parallel()
		s := stack.StartSplit(t, firestore, "GATEWAY_MCP=on")
		for i := range stack.Replicas {
			traffic(t, s.Edge[i].Ready.Public, s.Sandbox.Ready.Issuer)
		}
		holds(t, files, func() (all samples) {
			for i := range stack.Replicas {
				for job, p := range map[string]*stack.Proc{
					"auth": s.Auth[i], "edge-proxy": s.Edge[i], "event-fanout": s.Fanout[i], "ingress": s.Ingress[i],
				} {
					all = append(all, scrape(t, job, p)...)
				}
			}
			return all
		})
	})
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		p := stack.Standalone(t, firestore)
		traffic(t, p.Ready.Public, p.Ready.Issuer)
		holds(t, files, func() samples { return scrape(t, "noetl-gateway", p) })
	})
}

// firestore configures a watcher of Firestore, whose check exists nowhere else. This one answers nothing.
const firestore = "GATEWAY_FIRESTORE_LISTENER_CMD=cat"

// files is what names metrics.
type files struct {
	expressions, series []expression
	table               []row
}

// problems returns what is wrong, by where it stands.
func (f files) problems(all samples) map[expression][]string {
	out := map[expression][]string{}
	for _, e := range f.expressions {
		if p := problems(e.text, all); len(p) > 0 {
			out[e] = p
		}
	}
	for _, e := range f.series {
		if p := inventions(e.text, all); len(p) > 0 {
			out[e] = p
		}
	}
	if p := differences(f.table, all); len(p) > 0 {
		out[expression{where: operations}] = p
	}
	return out
}

// holds fails for each problem that is still there after a while: some operations end after the
// answer to who caused them.
func holds(t *testing.T, f files, scrape func() samples) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(200 * time.Millisecond) {
		failed := f.problems(scrape())
		if len(failed) > 0 && time.Now().Before(deadline) {
			continue
		}
		for e, p := range failed {
			t.Errorf("%s: %s\n%s", e.where, strings.Join(p, "; "), e.text)
		}
		return
	}
}

// scrape reads /metrics of a process as Prometheus would.
func scrape(t *testing.T, job string, p *stack.Proc) samples {
	t.Helper()
	answer := testkit.Do(t, http.MethodGet, p.Ready.Admin+"/metrics", nil)
	if answer.Code != http.StatusOK ||
		!strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%s: /metrics: %d %s", job, answer.Code, answer.Header.Get("Content-Type"))
	}
	all, err := exposition(answer.Body)
	if err != nil {
		t.Fatalf("%s: /metrics: %v", job, err)
	}
	return all.from(job, p.Ready.Admin)
}

// traffic makes every operation that dashboards and alerts name happen once, some of them badly.
func traffic(t *testing.T, public, issuer string) {
	t.Helper()
	const user = "admin@example.com"
	session := stack.Login(t, public, issuer, user)
	bearer := []string{"Authorization", "Bearer " + session}
	want := func(what string, a testkit.Answer, code int) testkit.Answer {
		t.Helper()
		if a.Code != code {
			t.Fatalf("%s: %d %s, want %d", what, a.Code, a.Body, code)
		}
		return a
	}
	post := func(path string, body any, headers ...string) testkit.Answer {
		t.Helper()
		return testkit.Do(t, http.MethodPost, public+path, body, headers...)
	}
	// People.
	want("a bad login", post("/api/auth/login", `{"auth0_token":"nonsense"}`), http.StatusUnauthorized)
	want("validate", post("/api/auth/validate", `{"session_token":"`+session+`"}`), http.StatusOK)
	want(
		"check-access",
		post(
			"/api/auth/check-access",
			`{"session_token":"`+session+`","playbook_name":"demo/echo","permission_type":"execute"}`,
		),
		http.StatusOK,
	)
	want(
		"no session", testkit.Do(t, http.MethodGet, public+"/noetl/echo", nil, "Authorization", "Bearer no-session"),
		http.StatusUnauthorized,
	)
	post("/api/auth/backchannel-logout", url.Values{"logout_token": {"nonsense"}})

	// Streams, executions, what workers report.
	ticket := testkit.Decode[struct{ Ticket string }](
		t,
		want("a ticket", post("/events/ticket", "{}", bearer...), http.StatusOK),
	).Ticket
	byTicket := testkit.OpenEvents(t, public, "", url.Values{"ticket": {ticket}})
	byTicket.ClientID(t)
	byTicket.Close()
	stream := testkit.OpenEvents(t, public, session, nil)
	client := stream.ClientID(t)
	started := stack.Execute(t, public, session, client, "demo/progress", `{"step_ms":1}`)
	stream.Until(t, "playbook/result")
	want(
		"status", post("/graphql", `{"query":"{execution(id:\"`+started.ExecutionID+`\"){status}}"}`, bearer...),
		http.StatusOK,
	)
	want(
		"rerun",
		post(
			"/graphql",
			`{"query":"mutation{rerunExecution(executionId:\"`+started.ExecutionID+`\"){executionId}}"}`,
			bearer...),
		http.StatusOK,
	)
	want("no such playbook", post("/graphql", stack.ExecuteBody(client, "demo/none", "{}"), bearer...), http.StatusOK)
	overWebSocket(t, public, session)
	want(
		"a tool", post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo__echo","arguments":{}}}`,
			append(bearer, "Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2025-11-25")...),
		http.StatusOK,
	)

	// Partners.
	const body = `{"order":1}`
	mac := hmac.New(sha256.New, []byte("sandbox-secret"))
	mac.Write([]byte(body))
	want(
		"a delivery", post("/ingress/orders", body, "X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil))),
		http.StatusAccepted,
	)
	want("a forged delivery", post("/ingress/orders", body, "X-Signature", "sha256=00"), http.StatusUnauthorized)
	want("no such listener", post("/ingress/nobody", body), http.StatusNotFound)

	// The end.
	want(
		"revoke",
		post("/api/auth/revoke", `{"session_token":"`+stack.Login(t, public, issuer, user)+`"}`, bearer...),
		http.StatusOK,
	)
	want("logout", post("/api/auth/logout", nil, bearer...), http.StatusNoContent)
}

// overWebSocket says each command once.
func overWebSocket(t *testing.T, public, session string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial( //nolint:bodyclose // the library takes it over
		ctx,
		strings.Replace(public, "http://", "ws://", 1)+"/ws",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + session}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	say := func(id, method, params string) string {
		t.Helper()
		if err := c.Write(
			ctx, websocket.MessageText,
			[]byte(`{"jsonrpc":"2.0","id":`+id+`,"method":"`+method+`","params":`+params+`}`),
		); err != nil {
			t.Fatal(err)
		}
		for {
			_, data, err := c.Read(ctx)
			if err != nil {
				t.Fatalf("%s: %v", method, err)
			}
			if strings.Contains(string(data), `"id":`+id+`,`) {
				return string(data)
			}
		}
	}
	say("91", "initialize", "{}")
	run := testkit.Decode[struct {
		Result struct{ ExecutionID string } `json:"result"`
	}](t, testkit.Answer{Body: say("92", "playbook/execute",
		`{"name":"demo/slow","variables":{"seconds":30}}`)}).Result.ExecutionID
	if run == "" {
		t.Fatal("nothing was executed over the WebSocket")
	}
	say("93", "playbook/cancel", `{"executionId":"`+run+`"}`)
	say("94", "playbook/rerun", `{"executionId":"`+run+`"}`)
}
