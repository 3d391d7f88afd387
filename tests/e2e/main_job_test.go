// Package e2e_test walks the gateway from outside: built binaries, real processes, real NATS.
package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

func bearer(session string) []string { return []string{"Authorization", "Bearer " + session} }

func sign(body, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// The whole main job, with two processes of each service, while the event-fanout that holds
// the stream is killed between the start of the execution and its first frame.
func TestTheMainJobOutlivesTheReplicaThatHoldsTheStream(t *testing.T) {
	t.Parallel()
	s := stack.StartSplit(t)
	a, b := s.Edge[0].Ready.Public, s.Edge[1].Ready.Public
	issuer := s.Sandbox.Ready.Issuer

	// 1 Login through one edge; the session is known to the other.
	session := stack.Login(t, a, issuer, "demo@example.com")
	if answer := testkit.Do(
		t, http.MethodPost, b+"/api/auth/validate", `{"session_token":"`+session+`"}`,
	); !strings.Contains(answer.Body, `"valid":true`) {
		t.Fatalf("the other replica does not know the session: %s", answer.Body)
	}
	// 2 The stream, through edge 0 and so event-fanout 0.
	stream := testkit.OpenEvents(t, a, session, nil)
	client := stream.ClientID(t)
	warm := stack.Execute(t, a, session, client, "demo/echo", `{"n":1}`)
	before := stream.Until(t, "playbook/result")

	// 3 Start; kill; 4 everything arrives at the other replica, each once, in order.
	started := stack.Execute(t, a, session, client, "demo/progress", `{"step_ms":150}`)
	s.Fanout[0].Kill()
	again := testkit.OpenEvents(
		t, b, session, url.Values{"client_id": {client}, "last_event_id": {before[len(before)-1].ID}},
	)
	if got := again.ClientID(t); got != client {
		t.Fatalf("reattached as %s", got)
	}
	after := again.Until(t, "playbook/result")
	checkProgressRun(t, after, started)
	for _, e := range after {
		if strings.Contains(e.Data, warm.RequestID) {
			t.Errorf("a frame that was seen came again: %+v", e)
		}
	}
	// The same once more with only the client id: nothing is left to send but what comes now.
	again.Close()
	third := testkit.OpenEvents(t, b, session, url.Values{"client_id": {client}})
	third.ClientID(t)
	last := stack.Execute(t, b, session, client, "demo/fail", `{}`)
	failed := third.Until(t, "playbook/result")
	for _, e := range failed {
		if !strings.Contains(e.Data, last.ExecutionID) && !strings.Contains(e.Data, last.RequestID) {
			t.Errorf("an old frame was repeated: %+v", e)
		}
	}
	if end := failed[len(failed)-1].Data; !strings.Contains(end, `"status":"FAILED"`) ||
		!strings.Contains(end, `"code":-32000`) {
		t.Errorf("failure: %s", end)
	}

	// 5 The proxy, authenticated, streaming, in the user's name.
	answer := testkit.Do(t, http.MethodGet, b+"/noetl/echo/x?y=1", nil, append(bearer(session), "X-User-Id", "1")...)
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body, `"path":"/api/echo/x"`) ||
		!strings.Contains(answer.Body, `"x-user-id":"1001"`) ||
		strings.Contains(answer.Body, session) {
		t.Errorf("proxy: %d %s", answer.Code, answer.Body)
	}
	// 6 One execution for a signed delivery, none for a forged one.
	for i, edge := range []string{a, b} {
		body := `{"order":` + string(rune('1'+i)) + `}`
		if answer := testkit.Do(
			t, http.MethodPost, edge+"/ingress/orders", body, "X-Signature", sign(body, "sandbox-secret"),
		); answer.Code != http.StatusAccepted ||
			!strings.Contains(answer.Body, `"execution_id":"`) {
			t.Errorf("signed delivery: %d %s", answer.Code, answer.Body)
		}
		if answer := testkit.Do(
			t, http.MethodPost, edge+"/ingress/orders", body, "X-Signature", sign(body, "wrong"),
		); answer.Code != http.StatusUnauthorized ||
			!strings.Contains(answer.Body, `"reason":"bad_signature"`) {
			t.Errorf("forged delivery: %d %s", answer.Code, answer.Body)
		}
	}
	if n := len(stack.Executions(t, s.Sandbox.Ready.NoETL, "demo/webhook")); n != 2 {
		t.Errorf("%d executions of demo/webhook, want 2", n)
	}
	// 7 Logout through one edge ends the session on the other and closes the stream.
	begin := time.Now()
	if answer := testkit.Do(
		t,
		http.MethodPost,
		a+"/api/auth/logout",
		nil,
		bearer(session)...); answer.Code != http.StatusNoContent {
		t.Errorf("logout: %d %s", answer.Code, answer.Body)
	}
	if e := third.Next(t); e.Name != "session/expired" {
		t.Errorf("the stream got %+v", e)
	}
	if e := third.Next(t); e.Error == nil {
		t.Errorf("the stream is still open: %+v", e)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the stream was closed after %v", took)
	}
	testkit.Eventually(t, "the session is refused everywhere", func() bool {
		first := testkit.Do(t, http.MethodGet, a+"/noetl/echo", nil, bearer(session)...)
		return first.Code == http.StatusUnauthorized &&
			testkit.Do(t, http.MethodGet, b+"/noetl/echo", nil, bearer(session)...).Code == http.StatusUnauthorized
	})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("revocation took %v", took)
	}
}

// checkProgressRun wants the frames of one run of demo/progress: all, each once, in order.
func checkProgressRun(t *testing.T, events []testkit.Event, started stack.Started) {
	t.Helper()
	var progress []float64
	var states []string
	ids := map[string]bool{}
	for _, e := range events {
		if e.ID == "" || ids[e.ID] {
			t.Errorf("no id, or one that was there before: %+v", e)
		}
		ids[e.ID] = true
		var m struct {
			Params struct {
				RequestID string  `json:"requestId"`
				Progress  float64 `json:"progress"`
				Status    string  `json:"status"`
				EventType string  `json:"event_type"`
				StepName  string  `json:"step_name"`
			} `json:"params"`
		}
		if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
			t.Fatal(err)
		}
		switch e.Name {
		case "playbook/progress":
			progress = append(progress, m.Params.Progress)
		case "playbook/state":
			states = append(states, m.Params.EventType+":"+m.Params.StepName)
		case "playbook/result":
			if m.Params.RequestID != started.RequestID || m.Params.Status != "COMPLETED" {
				t.Errorf("result: %s", e.Data)
			}
		}
	}
	if got, want := toJSON(t, progress), `[0.2,0.4,0.6,0.8,1]`; got != want {
		t.Errorf("progress %s, want %s", got, want)
	}
	want := `["step.enter:prepare","step.exit:prepare","step.enter:extract","step.exit:extract",` +
		`"step.enter:transform","step.exit:transform",` +
		`"step.enter:load","step.exit:load","step.enter:report","step.exit:report","playbook.completed:playbook"]`
	if got := toJSON(t, states); got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	if last := events[len(events)-1]; last.Name != "playbook/result" || len(events) != 17 {
		t.Errorf("%d frames, the last is %s: %s", len(events), last.Name, testkit.Names(events))
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The three ways to ask who somebody is, through the same listener.
func TestEveryAuthBackendLogsInAndOut(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync", "local"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t, "AUTH_BACKEND="+backend)
			session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
			viewer := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "viewer@example.com")
			stream := testkit.OpenEvents(t, p.Ready.Public, session, nil)
			stack.Execute(t, p.Ready.Public, session, stream.ClientID(t), "demo/echo", `{"big":9007199254740993}`)
			events := stream.Until(t, "playbook/result")
			if result := events[len(events)-1].Data; !strings.Contains(result, `9007199254740993`) {
				t.Errorf("result: %s", result)
			}
			for token, want := range map[string]string{session: `"allowed":true`, viewer: `"allowed":false`} {
				body := `{"session_token":"` + token + `","playbook_name":"demo/fail","permission_type":"execute"}`
				if answer := testkit.Do(
					t, http.MethodPost, p.Ready.Public+"/api/auth/check-access", body,
				); answer.Code != http.StatusOK ||
					!strings.Contains(answer.Body, want) {
					t.Errorf("check-access: %d %s, want %s", answer.Code, answer.Body, want)
				}
			}
			if answer := testkit.Do(
				t,
				http.MethodPost,
				p.Ready.Public+"/noetl/execute",
				`{"path":"demo/fail","workload":{}}`,
				bearer(viewer)...); answer.Code != http.StatusForbidden {
				t.Errorf("the viewer executed demo/fail: %d %s", answer.Code, answer.Body)
			}
			if answer := testkit.Do(
				t,
				http.MethodPost,
				p.Ready.Public+"/api/auth/logout",
				nil,
				bearer(session)...); answer.Code != http.StatusNoContent {
				t.Errorf("logout: %d %s", answer.Code, answer.Body)
			}
			if answer := testkit.Do(
				t,
				http.MethodGet,
				p.Ready.Public+"/noetl/echo",
				nil,
				bearer(session)...); answer.Code != http.StatusUnauthorized {
				t.Errorf("after logout: %d", answer.Code)
			}
		})
	}
}

// Reloading a page must not use up the user's streams, and a result for a client that has gone
// is answered as queued.
func TestStreamsThatWereClosedDoNotCount(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t, "GATEWAY_STREAMS_PER_USER=5")
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	var client string
	for range 30 {
		var stream *testkit.EventStream
		testkit.Eventually(t, "a stream opens", func() bool {
			s, status, err := testkit.DialEvents(t, p.Ready.Public, session, nil)
			stream = s
			return err == nil && status == http.StatusOK
		})
		client = stream.ClientID(t)
		stream.Close()
	}
	started := stack.Execute(t, p.Ready.Public, session, client, "demo/slow", `{"seconds":30}`)
	answer := testkit.Do(
		t, http.MethodPost, p.Ready.Internal+"/api/internal/callback/async",
		`{"request_id":"`+started.RequestID+`","data":1}`,
	)
	if answer.Code != http.StatusAccepted || answer.Body != `{"clientDisconnected":true,"status":"queued"}` {
		t.Errorf("result for a client that has gone: %d %s", answer.Code, answer.Body)
	}
}

// A session comes from a verified token or not at all: NoETL's own ways to log in are not for
// callers, whoever they are.
func TestNobodyLogsInThroughNoETLDirectly(t *testing.T) {
	t.Parallel()
	for _, enforce := range []string{"off", "execute"} {
		p := stack.Standalone(t, "GATEWAY_ENFORCE_ACCESS="+enforce)
		public := p.Ready.Public
		session := stack.Login(t, public, p.Ready.Issuer, "demo@example.com")
		stream := testkit.OpenEvents(t, public, session, nil)
		client := stream.ClientID(t)
		claims := strings.Split(stack.IDToken(t, p.Ready.Issuer, "admin@example.com"), ".")[1]
		forged := "eyJhbGciOiJub25lIn0." + claims + "."
		const playbook = "api_integration/auth0/auth0_login"
		for _, path := range []string{
			"/noetl/auth/login", "/noetl/%61uth/login", "/noetl/AUTH/login", "/noetl/auth/session/validate",
		} {
			if answer := testkit.Do(
				t,
				http.MethodPost,
				public+path,
				`{"auth0_token":"`+forged+`","credential":"x"}`,
				bearer(session)...); answer.Code != http.StatusNotFound {
				t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
			}
		}
		workload := `{"auth0_token":"` + forged + `"}`
		if answer := testkit.Do(
			t,
			http.MethodPost,
			public+"/graphql",
			stack.ExecuteBody(client, playbook, workload),
			bearer(session)...); !strings.Contains(
			answer.Body,
			`"code":"FORBIDDEN"`,
		) {
			t.Errorf("graphql: %d %s", answer.Code, answer.Body)
		}
		if answer := testkit.Do(
			t,
			http.MethodPost,
			public+"/noetl/execute",
			`{"path":"`+playbook+`","workload":`+workload+`}`,
			bearer(session)...); answer.Code != http.StatusForbidden {
			t.Errorf("proxy: %d %s", answer.Code, answer.Body)
		}
		entry := testkit.Decode[struct {
			ID string `json:"catalog_id"`
		}](t, testkit.Do(t, http.MethodPost, p.Ready.NoETL+"/api/catalog/resource", `{"path":"`+playbook+`"}`))
		if answer := testkit.Do(
			t,
			http.MethodPost,
			public+"/noetl/execute",
			`{"catalog_id":"`+entry.ID+`","workload":`+workload+`}`,
			bearer(session)...); answer.Code != http.StatusForbidden {
			t.Errorf("by catalog id: %d %s", answer.Code, answer.Body)
		}
		if answer := testkit.Do(
			t,
			http.MethodPost,
			public+"/noetl/execute",
			`{"catalog_id":"`+entry.ID+`","path":"demo/echo"}`,
			bearer(session)...); answer.Code != http.StatusBadRequest {
			t.Errorf("by catalog id and path: %d %s", answer.Code, answer.Body)
		}
		logins := stack.Executions(t, p.Ready.NoETL, playbook)
		if len(logins) != 1 {
			t.Fatalf("%d logins ran at NoETL, want the one of this test", len(logins))
		}
		if answer := testkit.Do(
			t,
			http.MethodPost,
			public+"/noetl/executions/"+logins[0]+"/rerun",
			`{"workload":`+workload+`}`,
			bearer(session)...); answer.Code != http.StatusForbidden {
			t.Errorf("rerun: %d %s", answer.Code, answer.Body)
		}
	}
}
