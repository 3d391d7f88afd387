//go:build containers

package containers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// jaegerSpan is a span as Jaeger's query API has it.
type jaegerSpan struct {
	SpanID        string
	OperationName string
	ProcessID     string
	References    []struct{ SpanID string }
	Tags          []struct {
		Key   string
		Value any
	}
	Logs []any
}

// trace is a trace, as it was found.
type trace struct {
	t        *testing.T
	raw      string
	spans    []jaegerSpan
	services map[string]string // process id → service
}

// trace asks Jaeger for a trace until enough says yes.
func (w *world) trace(t *testing.T, id string, enough func(*trace) bool) *trace {
	t.Helper()
	var found *trace
	testkit.Eventually(t, "trace "+id+" is whole", func() bool {
		a, err := testkit.Try(t, http.MethodGet, w.jaeger.address(16686)+"/api/traces/"+id, nil)
		if err != nil || a.Code != http.StatusOK {
			return false
		}
		var body struct {
			Data []struct {
				Spans     []jaegerSpan
				Processes map[string]struct{ ServiceName string }
			}
		}
		if err := json.Unmarshal([]byte(a.Body), &body); err != nil || len(body.Data) != 1 {
			return false
		}
		found = &trace{t: t, raw: a.Body, spans: body.Data[0].Spans, services: map[string]string{}}
		for id, p := range body.Data[0].Processes {
			found.services[id] = strings.TrimPrefix(p.ServiceName, "noetl-gateway-")
		}
		// Each service sends its spans when it likes: a trace is whole when nothing hangs loose.
		return enough(found) && len(found.orphans()) == 0
	})
	return found
}

func (tr *trace) name(s jaegerSpan) string { return tr.services[s.ProcessID] + " " + s.OperationName }

func (tr *trace) parent(s jaegerSpan) (jaegerSpan, bool) {
	for _, p := range tr.spans {
		if len(s.References) > 0 && p.SpanID == s.References[0].SpanID {
			return p, true
		}
	}
	return jaegerSpan{}, false
}

func (s jaegerSpan) tag(key string) string {
	for _, tag := range s.Tags {
		if tag.Key == key {
			return fmt.Sprint(tag.Value)
		}
	}
	return ""
}

// path returns the span at the end of a chain of names, each the parent of the next; the zero span
// when there is none.
func (tr *trace) path(names ...string) (jaegerSpan, bool) {
	for _, s := range tr.spans {
		at, ok := s, true
		for i := len(names) - 1; i >= 0 && ok; i-- {
			if ok = tr.name(at) == names[i]; ok && i > 0 {
				at, ok = tr.parent(at)
			}
		}
		if ok {
			return s, true
		}
	}
	return jaegerSpan{}, false
}

func (tr *trace) has(names ...string) bool { _, ok := tr.path(names...); return ok }

// must is path for what has to be there.
func (tr *trace) must(names ...string) jaegerSpan {
	tr.t.Helper()
	s, ok := tr.path(names...)
	if !ok {
		var there []string
		for _, s := range tr.spans {
			there = append(there, tr.name(s))
		}
		slices.Sort(there)
		tr.t.Errorf(
			"no chain %s; there is\n  %s", strings.Join(names, " → "), strings.Join(slices.Compact(there), "\n  "),
		)
	}
	return s
}

// orphans names the spans whose parent is neither in the trace nor the caller's.
func (tr *trace) orphans() []string {
	var list []string
	for _, s := range tr.spans {
		if _, ok := tr.parent(s); !ok && (len(s.References) == 0 || s.References[0].SpanID != caller) {
			list = append(list, tr.name(s))
		}
	}
	return list
}

// whole checks what every trace owes: it hangs together, on the caller's span, and holds no secret.
func (tr *trace) whole(secrets ...string) {
	tr.t.Helper()
	if loose := tr.orphans(); len(loose) > 0 {
		tr.t.Errorf("these hang on nothing: %v", loose)
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(tr.raw, secret) {
			tr.t.Errorf("the trace holds the secret %.12s…", secret)
		}
	}
}

const caller = "00f067aa0ba902b7"

func parentOf(trace string) []string {
	return []string{"Traceparent", "00-" + trace + "-" + caller + "-01"}
}

// Three ways through the gateway, each one trace, as Jaeger tells it.
func TestTracesInJaeger(t *testing.T) {
	t.Parallel()
	w := start(t, setup{replicas: 2, jaeger: true})
	edge, auth, fanout, ingress, noetl := "edge-proxy ", "auth ", "event-fanout ", "ingress ", "sandbox "

	// Login: browser → edge → auth → NoETL's playbook → its callback.
	const loginTrace = "10000000000000000000000000000001"
	token := stack.IDToken(t, w.issuer.address(8082)+"/oidc", "demo@example.com")
	a := testkit.Do(
		t,
		http.MethodPost,
		w.public+"/api/auth/login",
		`{"auth0_token":"`+token+`"}`,
		parentOf(loginTrace)...)
	session := testkit.Decode[struct {
		SessionToken string `json:"session_token"`
	}](t, a).SessionToken
	if a.Code != http.StatusOK || session == "" {
		t.Fatalf("login: %d %s", a.Code, a.Body)
	}
	secrets := []string{
		session, token, internalToken, callbackToken, "sandbox-secret", stack.Password("auth"),
		stack.Password("edge-proxy"),
	}
	toAuth := []string{
		edge + "POST /api/auth/login", edge + "edge.login", edge + "call gateway.auth.v1.login",
		auth + "receive gateway.auth.v1.login", auth + "auth.login", auth + "POST", noetl + "POST /api/execute",
		noetl + "noetl.execute",
	}
	back := append(
		slices.Clone(toAuth), noetl+"HTTP POST", fanout+"POST /api/internal/callback", fanout+"fanout.callback",
	)
	tr := w.trace(t, loginTrace, func(tr *trace) bool { return tr.has(back...) })
	tr.whole(secrets...)
	entry := tr.must(toAuth[0])
	for key, want := range map[string]string{
		"span.kind": "server", "http.request.method": "POST", "http.route": "/api/auth/login",
		"http.response.status_code": "200", "url.path": "/api/auth/login",
	} {
		if got := entry.tag(key); got != want {
			t.Errorf("login: %s is %q, want %q", key, got, want)
		}
	}
	if got := tr.must(toAuth[:3]...).tag("messaging.destination.name"); got != "gateway.auth.v1.login" {
		t.Errorf("the call to auth goes to %q", got)
	}
	if got := tr.must(toAuth[:6]...).tag("url.full"); got != "http://sandbox:8082/api/execute" {
		t.Errorf("auth called %q", got)
	}

	// executePlaybook: edge → expect → NoETL → callback → the frame that is stored for the page.
	const clickTrace = "20000000000000000000000000000002"
	stream := testkit.OpenEvents(
		t, w.public, "", url.Values{"session_token": {session}},
	) // as EventSource must: in the URL
	client := stream.ClientID(t)
	a = testkit.Do(
		t,
		http.MethodPost,
		w.public+"/graphql",
		stack.ExecuteBody(client, "demo/progress", `{"step_ms":20}`),
		append(parentOf(clickTrace), "Authorization", "Bearer "+session)...)
	started := testkit.Decode[struct {
		Data struct{ ExecutePlaybook stack.Started }
	}](t, a).Data.ExecutePlaybook
	if a.Code != http.StatusOK || started.ExecutionID == "" {
		t.Fatalf("execute: %d %s", a.Code, a.Body)
	}
	stream.Until(t, "playbook/result")
	secrets = append(secrets, started.RequestID)
	run := []string{
		edge + "POST /graphql", edge + "edge.execute", edge + "POST", noetl + "POST /api/execute",
		noetl + "noetl.execute",
	}
	result := append(
		slices.Clone(run), noetl+"HTTP POST", fanout+"POST /api/internal/callback/async", fanout+"fanout.complete",
		fanout+"store frame",
	)
	tr = w.trace(
		t,
		clickTrace,
		func(tr *trace) bool { return tr.has(result...) && tr.has(append(run, fanout+"fanout.route")...) },
	)
	tr.whole(secrets...)
	if got := tr.must(
		run[:2]...); got.tag("noetl.execution.id") != started.ExecutionID ||
		got.tag("noetl.playbook.path") != "demo/progress" {
		t.Errorf("edge.execute says %+v", got.Tags)
	}
	tr.must(
		run[0], run[1], edge+"call gateway.auth.v1.check-access", auth+"receive gateway.auth.v1.check-access",
		auth+"auth.check-access",
	)
	tr.must(
		run[0], run[1], edge+"call gateway.fanout.v1.expect", fanout+"receive gateway.fanout.v1.expect",
		fanout+"fanout.expect",
	)
	tr.must(
		run[0], run[1], edge+"call gateway.fanout.v1.bind", fanout+"receive gateway.fanout.v1.bind",
		fanout+"fanout.bind",
	)
	tr.must(
		append(
			run, noetl+"HTTP POST", fanout+"POST /api/internal/progress", fanout+"fanout.progress",
			fanout+"store frame",
		)...)
	frames := map[string]bool{}
	for _, s := range tr.spans {
		if s.OperationName == "store frame" {
			frames[s.tag("noetl.frame.event")] = true
		}
	}
	for _, want := range []string{"playbook/progress", "playbook/state", "playbook/result"} {
		if !frames[want] {
			t.Errorf("no frame %s in the trace: %v", want, frames)
		}
	}

	// A partner's POST with its own trace context → ingress → NoETL → a lifecycle frame for the page
	// that follows the execution.
	const partnerTrace = "30000000000000000000000000000003"
	body := `{"order":1,"step_ms":1500}`
	mac := hmac.New(sha256.New, []byte("sandbox-secret"))
	mac.Write([]byte(body))
	follow := w.follow(t, client, session)
	a = testkit.Do(
		t,
		http.MethodPost,
		w.public+"/ingress/orders",
		body,
		append(parentOf(partnerTrace), "X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))...)
	delivered := testkit.Decode[struct {
		ExecutionID string `json:"execution_id"`
	}](t, a).ExecutionID
	if a.Code != http.StatusAccepted || delivered == "" {
		t.Fatalf("delivery: %d %s", a.Code, a.Body)
	}
	follow(delivered)
	way := []string{
		edge + "POST /ingress/", edge + "POST", ingress + "POST /ingress/{listener}", ingress + "ingress.receive",
		ingress + "ingress.dispatch", ingress + "POST", noetl + "POST /api/execute", noetl + "noetl.execute",
		fanout + "fanout.route",
	}
	tr = w.trace(t, partnerTrace, func(tr *trace) bool { return tr.has(append(way, fanout+"store frame")...) })
	tr.whole(secrets...)
	if got := tr.must(way[:4]...); got.tag("noetl.listener") != "orders" {
		t.Errorf("ingress.receive says %+v", got.Tags)
	}
	if got := tr.must(append(way[:3:3], ingress+"ingress.await")...).tag("noetl.execution.id"); got != delivered {
		t.Errorf("ingress.await is about %q", got)
	}
	if got := tr.must(way...).tag("noetl.execution.id"); got != delivered {
		t.Errorf("fanout.route is about %q", got)
	}
	if got := tr.must(append(way, fanout+"store frame")...).tag("noetl.frame.event"); got != "playbook/state" {
		t.Errorf("the lifecycle frame is %q", got)
	}

	// Errors are marked where they happen, and on the way out; refusals are no errors of ours.
	const brokenTrace, refusedTrace = "40000000000000000000000000000004", "50000000000000000000000000000005"
	testkit.Do(t, http.MethodPut, w.sandbox.address(8082)+"/sandbox/faults", `{"mode":"error"}`)
	testkit.Do(
		t,
		http.MethodPost,
		w.public+"/noetl/catalog/list",
		"{}",
		append(parentOf(brokenTrace), "Authorization", "Bearer "+session)...)
	testkit.Do(
		t,
		http.MethodPost,
		w.public+"/graphql",
		stack.ExecuteBody(client, "demo/echo", `{}`),
		append(parentOf(brokenTrace), "Authorization", "Bearer "+session)...)
	testkit.Do(t, http.MethodPut, w.sandbox.address(8082)+"/sandbox/faults", `{"mode":""}`)
	forged := testkit.Do(
		t,
		http.MethodPost,
		w.public+"/ingress/orders",
		body,
		append(parentOf(refusedTrace), "X-Signature", "sha256="+strings.Repeat("0", 64))...)
	if forged.Code != http.StatusUnauthorized {
		t.Fatalf("forged: %d %s", forged.Code, forged.Body)
	}
	// Whether one may execute is asked first, and NoETL is who knows.
	failed := []string{
		edge + "POST /graphql", edge + "edge.execute", edge + "call gateway.auth.v1.check-access",
		auth + "receive gateway.auth.v1.check-access", auth + "auth.check-access", auth + "POST",
	}
	tr = w.trace(t, brokenTrace, func(tr *trace) bool { return tr.has(failed...) })
	tr.whole(secrets...)
	if got := tr.must(failed...); got.tag("http.response.status_code") != "500" || got.tag("error") != "true" {
		t.Errorf("the call that failed is not marked: %+v", got.Tags)
	}
	if got := tr.must(failed[:2]...); got.tag("error") != "true" || got.tag("noetl.fault.code") == "" {
		t.Errorf("a failed execution is not marked: %+v", got.Tags)
	}
	tr = w.trace(t, refusedTrace, func(tr *trace) bool { return tr.has(way[:4]...) })
	tr.whole(secrets...)
	if got := tr.must(
		way[:4]...); got.tag("error") == "true" || got.tag("error.type") != "unauthenticated" ||
		got.tag("noetl.fault.code") != "bad_signature" {
		t.Errorf("a forged delivery says %+v", got.Tags)
	}
}

// follow registers a page for an execution, over NATS as edge-proxy does: first expected, then, by
// the function returned, bound.
func (w *world) follow(t *testing.T, client, session string) func(executionID string) {
	t.Helper()
	p, err := w.nats.MappedPort(t.Context(), "4222/tcp")
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(
		"nats://127.0.0.1:"+p.Port(),
		nats.UserInfo("edge-proxy", stack.Password("edge-proxy")),
		nats.CustomInboxPrefix("_INBOX_GATEWAY.gateway-edge-proxy"),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	ask := func(subject string, in map[string]string) {
		t.Helper()
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		m, err := nc.Request(subject, data, 5*time.Second)
		if err != nil || m.Header.Get("Nats-Service-Error") != "" {
			t.Fatalf("%s: %v %v", subject, err, m)
		}
	}
	me := testkit.Decode[struct {
		User struct {
			UserID int64 `json:"user_id"`
		}
	}](t, testkit.Do(t, http.MethodPost, w.public+"/api/auth/validate", `{"session_token":"`+session+`"}`))
	ask(
		"gateway.fanout.v1.expect",
		map[string]string{
			"request_id":    "followed",
			"client_id":     client,
			"owner":         fmt.Sprintf("id:%d", me.User.UserID),
			"session_key":   "none",
			"playbook_path": "demo/webhook",
		},
	)
	return func(id string) {
		t.Helper()
		ask("gateway.fanout.v1.bind", map[string]string{"request_id": "followed", "execution_id": id})
	}
}
