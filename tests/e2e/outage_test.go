package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// NATS goes away in the middle of everything and comes back on the same data: errors are clear
// while it lasts, nothing is restarted, and no stored frame is lost.
func TestNATSKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	s := stack.StartSplit(t)
	a, b, issuer := s.Edge[0].Ready.Public, s.Edge[1].Ready.Public, s.Sandbox.Ready.Issuer
	session := stack.Login(t, a, issuer, "demo@example.com")
	stream := testkit.OpenEvents(t, a, session, nil)
	client := stream.ClientID(t)
	stack.Execute(t, a, session, client, "demo/echo", `{"n":1}`)
	seen := stream.Until(t, "playbook/result")
	slow := stack.Execute(t, a, session, client, "demo/slow", `{"seconds":2}`)

	s.NATS.Kill()
	testkit.Eventually(t, "readiness names NATS", func() bool {
		ready := testkit.Do(t, http.MethodGet, a+"/readyz", nil)
		return ready.Code == http.StatusServiceUnavailable && strings.Contains(ready.Body, `"nats":{"status":"failed"`)
	})
	// A session that is cached still passes; a new login and a new stream say 503, not 401.
	if answer := testkit.Do(
		t,
		http.MethodGet,
		a+"/noetl/executions",
		nil,
		bearer(session)...); answer.Code != http.StatusOK {
		t.Errorf("cached session during the outage: %d %s", answer.Code, answer.Body)
	}
	for what, answer := range map[string]testkit.Answer{
		"login": testkit.Do(
			t, http.MethodPost, a+"/api/auth/login",
			`{"auth0_token":"`+stack.IDToken(t, issuer, "admin@example.com")+`"}`,
		),
		"unknown session": testkit.Do(t, http.MethodGet, b+"/noetl/executions", nil, bearer("never-seen")...),
		"stream":          testkit.Do(t, http.MethodGet, a+"/events", nil, bearer(session)...),
	} {
		if answer.Code != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" ||
			!strings.Contains(answer.Body, `"error":"`) {
			t.Errorf("%s during the outage: %d %v %s", what, answer.Code, answer.Header, answer.Body)
		}
	}
	s.NATS.Restart(t)

	// The result of what ran meanwhile arrives on the stream that stayed open.
	got := stream.Until(t, "playbook/result")
	if last := got[len(got)-1].Data; !strings.Contains(last, slow.RequestID) {
		t.Errorf("the result after the outage: %s", last)
	}
	// What was stored before the outage is still there, once, for who asks from the start.
	// The other replica comes back to NATS when it does, and says 503 until then.
	var again *testkit.EventStream
	testkit.Eventually(t, "streams open at the other replica", func() bool {
		opened, status, err := testkit.DialEvents(
			t, b, session, url.Values{"client_id": {client}, "last_event_id": {seen[0].ID}},
		)
		if err != nil || (opened == nil && status != http.StatusServiceUnavailable) {
			t.Fatalf("a stream at the other replica: %d %v", status, err)
		}
		again = opened
		return opened != nil
	})
	again.ClientID(t)
	replay := append(again.Until(t, "playbook/result"), again.Until(t, "playbook/result")...)
	want := append(seen[1:], got...)
	if len(replay) != len(want) {
		t.Fatalf("replay has %d frames, want %d", len(replay), len(want))
	}
	for i := range want {
		if replay[i].ID != want[i].ID || replay[i].Data != want[i].Data {
			t.Errorf("frame %d: %+v, want %+v", i, replay[i], want[i])
		}
	}
	testkit.Eventually(t, "logins work again", func() bool {
		answer, err := testkit.Try(
			t, http.MethodPost, a+"/api/auth/login",
			`{"auth0_token":"`+stack.IDToken(t, issuer, "admin@example.com")+`"}`,
		)
		return err == nil && answer.Code == http.StatusOK
	})
}

// NoETL goes away and comes back: a clear 502 with CORS headers meanwhile, and a session that
// is known stays known.
func TestNoETLStoppedAndStartedAgain(t *testing.T) {
	t.Parallel()
	nats := stack.StartNATS(t)
	shared := []string{"NATS_URL=" + nats.URL, "NOETL_INTERNAL_API_TOKEN=sandbox-internal-token"}
	sandbox := stack.Start(t, "sandbox", nil, shared...)
	address, err := url.Parse(sandbox.Ready.NoETL)
	if err != nil {
		t.Fatal(err)
	}
	p := stack.Start(t, "noetl-gateway", []string{"serve"}, append(
		shared,
		"NOETL_BASE_URL="+sandbox.Ready.NoETL,
		"AUTH_ISSUERS="+sandbox.Ready.Issuer,
		"AUTH_AUDIENCES=noetl-console",
		"CORS_ALLOWED_ORIGINS=https://app.example",
	)...)
	// A fixed callback address is needed only because the internal port is free: see GATEWAY_CALLBACK_URL.
	public := p.Ready.Public
	session := stack.Login(t, public, sandbox.Ready.Issuer, "demo@example.com")
	sandbox.Kill()

	answer := testkit.Do(
		t,
		http.MethodGet,
		public+"/noetl/executions",
		nil,
		append(bearer(session), "Origin", "https://app.example")...)
	if answer.Code != http.StatusBadGateway || !strings.Contains(answer.Body, `"error":"Proxy request failed: `) ||
		strings.Contains(answer.Body, address.Host) {
		t.Errorf("proxy: %d %s", answer.Code, answer.Body)
	}
	if got := answer.Header.Get("Access-Control-Allow-Origin"); got != "https://app.example" {
		t.Errorf("the error has no CORS header: %q", got)
	}
	stream := testkit.OpenEvents(t, public, session, nil)
	client := stream.ClientID(t)
	if answer := testkit.Do(
		t,
		http.MethodPost,
		public+"/graphql",
		stack.ExecuteBody(client, "demo/echo", "{}"),
		bearer(session)...); !strings.Contains(
		answer.Body,
		`"code":"BAD_GATEWAY"`,
	) {
		t.Errorf("graphql: %d %s", answer.Code, answer.Body)
	}
	if answer := testkit.Do(
		t, http.MethodPost, public+"/ingress/orders", "{}", "X-Signature", sign("{}", "sandbox-secret"),
	); answer.Code != http.StatusBadGateway {
		t.Errorf("ingress: %d %s", answer.Code, answer.Body)
	}
	if ready := testkit.Do(
		t, http.MethodGet, public+"/readyz", nil,
	); ready.Code != http.StatusOK || !strings.Contains(ready.Body, `"status":"degraded"`) ||
		!strings.Contains(ready.Body, `"noetl":{"status":"failed"`) {
		t.Errorf("readiness: %d %s", ready.Code, ready.Body)
	}

	stack.Start(t, "sandbox", nil, append(shared, "SANDBOX_PORT="+address.Port())...)
	stack.Execute(t, public, session, client, "demo/echo", `{"back":true}`)
	events := stream.Until(t, "playbook/result")
	if last := events[len(events)-1].Data; !strings.Contains(last, `"back":true`) {
		t.Errorf("result: %s", last)
	}
}
