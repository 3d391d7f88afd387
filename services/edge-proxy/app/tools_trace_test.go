package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// agents is a world in which agents call the tool demo__echo, whose result is what clients are told next.
type agents struct {
	*world
	token string
	spans *tracetest.SpanRecorder
	log   *testkit.Log
}

func bootAgents(t *testing.T) *agents {
	t.Helper()
	a := &agents{spans: tracetest.NewSpanRecorder(), log: &testkit.Log{}}
	tel := telemetry.Nop("edge-proxy")
	tel.Tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.spans))
	tel.Logger = slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	events := httptest.NewServer(http.HandlerFunc(a.events))
	t.Cleanup(events.Close)
	a.world = bootWith(t, tel, "GATEWAY_MCP=on", "GATEWAY_EVENTS_URL="+events.URL, "GATEWAY_ENFORCE_ACCESS=off")
	a.token = a.auth.Add(authwire.User{UserID: 7, Roles: []string{"user"}})
	a.noetl.Answer("POST", "/api/catalog/list", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, `{"entries":[{"path":"demo/echo","kind":"Playbook","version":1}]}`)
	})
	a.noetl.Answer("GET", "/api/catalog/demo/echo/ui_schema", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, `{"path":"demo/echo","inputs":[]}`)
	})
	return a
}

// events is event-fanout as one client sees it: it gives the client a name, and sends the result of each request that
// was bound.
func (a *agents) events(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		return
	}
	rw.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(rw).Flush
	send := func(id int, method string, params any) {
		data, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
		if err != nil {
			a.t.Error(err)
		}
		_, _ = fmt.Fprintf(rw, "id: %d\nevent: message\ndata: %s\n\n", id, data)
		_ = flush()
	}
	send(1, "connection/ready", map[string]any{"clientId": "client-of-agents"})
	sent := map[string]bool{}
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-r.Context().Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		for id, execution := range a.pending.Bound.All() {
			if !sent[id] {
				sent[id] = true
				send(1+len(sent), "playbook/result", map[string]any{
					"requestId": id, "executionId": execution, "status": "COMPLETED",
					"data": map[string]any{"text": "canary-result"},
				})
			}
		}
	}
}

// rpc sends a message to /mcp, as a client of an older revision.
func (a *agents) rpc(token, method, params string, headers ...string) answer {
	a.t.Helper()
	body := `{"jsonrpc":"2.0","id":"canary-number","method":"` + method + `","params":` + params + `}`
	return a.send("POST", "/mcp", body, append([]string{
		"Authorization", "Bearer " + token, "Content-Type", "application/json",
		"Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2025-11-25",
	}, headers...)...)
}

// One trace leads from the request of an agent to the start of the playbook.
func TestOneTraceLeadsFromACallToItsStart(t *testing.T) {
	t.Parallel()
	a := bootAgents(t)
	const trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	got := a.rpc(a.token, "tools/call", `{"name":"demo__echo","arguments":{}}`,
		"Traceparent", "00-"+trace+"-"+caller+"-01")
	if got.status != 200 || !strings.Contains(got.body, "canary-result") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	var found []string
	testkit.Eventually(t, "the request's span has ended", func() bool {
		names := map[string]string{caller: "the agent"} // by id of the span
		ended := a.spans.Ended()
		for _, s := range ended {
			names[s.SpanContext().SpanID().String()] = s.Name()
		}
		found = nil
		for _, s := range ended {
			if s.SpanContext().TraceID().String() == trace {
				found = append(found, names[s.Parent().SpanID().String()]+" → "+s.Name())
			}
		}
		return slices.Contains(found, "the agent → POST /mcp")
	})
	for _, want := range []string{
		"POST /mcp → edge.mcp-find", "POST /mcp → edge.mcp-call", "edge.mcp-call → call gateway.fanout.v1.expect",
		"edge.mcp-call → POST", "edge.mcp-call → call gateway.fanout.v1.bind", // POST starts the execution at NoETL
	} {
		if !slices.Contains(found, want) {
			t.Errorf("no %s in %q", want, found)
		}
	}
}

// What agents send and get is in no log and in no span, and no name of a span is theirs to choose.
func TestNothingThatAgentsSendIsLoggedOrTraced(t *testing.T) {
	t.Parallel()
	a := bootAgents(t)
	for _, call := range []struct{ token, method, params string }{
		{a.token, "tools/call", `{"name":"demo__echo","arguments":{"canary-key":"canary-argument"}}`},
		{a.token, "tools/call", `{"name":"canary-tool","arguments":{"x":"canary-argument"}}`},
		{a.token, "tools/call", `{"name":"demo__echo","arguments":"canary-argument"}`},
		{a.token, "canary/method", `{"x":"canary-argument"}`},
		{a.token, "resources/read", `{"uri":"noetl://canary-uri"}`},
		{a.token, "tools/list", `{"cursor":"canary-cursor"}`},
		{"canary-token", "tools/list", `{}`},
		{"eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOjF9.canary-signature", "tools/list", `{}`},
	} {
		a.rpc(call.token, call.method, call.params, "Mcp-Session-Id", "canary-session")
	}
	a.send("POST", "/mcp?token=canary-query", "canary-body", "Authorization", "Bearer "+a.token,
		"Content-Type", "application/json")
	testkit.Eventually(t, "the calls are audited", func() bool {
		return strings.Count(a.log.String(), "event=tool_called") >= 2
	})
	a.stop()
	var all strings.Builder
	for _, s := range a.spans.Ended() {
		if strings.Contains(s.Name(), "mcp") && s.Name() != "POST /mcp" && !strings.HasPrefix(s.Name(), "edge.mcp-") {
			t.Errorf("a span is called %s", s.Name())
		}
		fmt.Fprintln(&all, s.Name(), s.Attributes(), s.Status().Description)
		for _, e := range s.Events() {
			fmt.Fprintln(&all, e.Name, e.Attributes)
		}
	}
	if strings.Count(all.String(), "POST /mcp") != 9 {
		t.Errorf("spans:\n%s", all.String())
	}
	for what, text := range map[string]string{"log": a.log.String(), "spans": all.String()} {
		for _, secret := range []string{"canary", a.token} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("the %s has %q: %s", what, secret, text[max(0, i-200):min(len(text), i+100)])
			}
		}
		for id := range a.pending.Expected.All() {
			if strings.Contains(text, id) {
				t.Errorf("the %s names a request, whose result is read by it", what)
			}
		}
	}
}
