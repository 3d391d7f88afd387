package e2e_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// spans is an OTLP receiver that keeps what it gets.
type spans struct {
	mu   sync.Mutex
	list []span
	raw  strings.Builder
}

type span struct{ trace, id, parent, service, name string }

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprint(&s.raw, in.String())
	for _, rs := range in.GetResourceSpans() {
		service := ""
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, sp := range ss.GetSpans() {
				s.list = append(
					s.list,
					span{
						hex.EncodeToString(sp.GetTraceId()), hex.EncodeToString(sp.GetSpanId()),
						hex.EncodeToString(sp.GetParentSpanId()), service, sp.GetName(),
					},
				)
			}
		}
	}
}

func (s *spans) of(trace string) []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []span
	for _, sp := range s.list {
		if sp.trace == trace {
			list = append(list, sp)
		}
	}
	return list
}

// One trace from the browser's request, over NATS to NoETL, back through the callback, to the
// frame that is stored for the client.
func TestOneTraceFromClickToFrame(t *testing.T) {
	t.Parallel()
	received := &spans{}
	receiver := httptest.NewServer(received)
	t.Cleanup(receiver.Close)
	s := stack.StartSplit(
		t, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_BSP_SCHEDULE_DELAY=100",
		"LOG_FORMAT=json", "LOG_LEVEL=debug",
	)
	public := s.Edge[0].Ready.Public
	session := stack.Login(t, public, s.Sandbox.Ready.Issuer, "demo@example.com")
	// EventSource cannot send headers: the token is in the URL here, and must stay out of spans.
	stream := testkit.OpenEvents(t, public, "", url.Values{"session_token": {session}})
	client := stream.ClientID(t)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	answer := testkit.Do(
		t,
		http.MethodPost,
		public+"/graphql",
		stack.ExecuteBody(client, "demo/progress", `{"step_ms":10}`),
		append(bearer(session), "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01", "X-Request-Id", "click-1")...)
	if answer.Code != http.StatusOK || strings.Contains(answer.Body, "errors") {
		t.Fatalf("execute: %d %s", answer.Code, answer.Body)
	}
	stream.Until(t, "playbook/result")

	type want struct{ service, name string }
	missing := []want{
		{"noetl-gateway-edge-proxy", "POST /graphql"},
		{"noetl-gateway-edge-proxy", "edge.execute"},
		{"noetl-gateway-edge-proxy", "call gateway.fanout.v1.expect"},
		{"noetl-gateway-event-fanout", "receive gateway.fanout.v1.expect"},
		{"noetl-gateway-event-fanout", "fanout.expect"},
		{"noetl-gateway-edge-proxy", "POST"},
		{"noetl-gateway-event-fanout", "POST /api/internal/progress"},
		{"noetl-gateway-event-fanout", "POST /api/internal/callback/async"},
		{"noetl-gateway-event-fanout", "fanout.complete"},
		{"noetl-gateway-event-fanout", "fanout.route"},
		{"noetl-gateway-event-fanout", "store frame"},
	}
	testkit.Eventually(t, "every hop is in the trace", func() bool {
		var left []want
		got := received.of(trace)
	next:
		for _, w := range missing {
			for _, sp := range got {
				if sp.service == w.service && sp.name == w.name {
					continue next
				}
			}
			left = append(left, w)
		}
		if missing = left; len(missing) > 0 {
			t.Logf("still missing: %v", missing)
		}
		return len(missing) == 0
	})
	// Every span hangs on another of the trace, or on the browser's.
	known := map[string]bool{"00f067aa0ba902b7": true}
	testkit.Eventually(t, "no span is an orphan", func() bool {
		for _, sp := range received.of(trace) {
			known[sp.id] = true
		}
		for _, sp := range received.of(trace) {
			if !known[sp.parent] {
				return false
			}
		}
		return true
	})
	received.mu.Lock()
	raw := received.raw.String()
	received.mu.Unlock()
	if strings.Contains(raw, session) {
		t.Error("the session token is in a span")
	}
	requestIDs(t, s)
	// A refusal is logged in JSON with the trace id of the request.
	testkit.Do(t, http.MethodPost, public+"/api/auth/login", `{}`, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	testkit.Eventually(t, "the refusal is in the log with its trace id", func() bool {
		for line := range strings.Lines(s.Edge[0].Logs()) {
			if strings.Contains(line, `"reason":"missing_token"`) && strings.Contains(line, `"trace_id":"`+trace+`"`) &&
				strings.Contains(line, `"service":"edge-proxy"`) {
				return true
			}
		}
		return false
	})
}

// requestIDs checks that the id of a request is in the lines of every service that it went through: of the click above,
// over NATS and HTTP and with the callbacks of the worker, and of one with a session that only auth can refuse.
func requestIDs(t *testing.T, s *stack.Split) {
	t.Helper()
	testkit.Do(t, http.MethodGet, s.Edge[0].Ready.Public+"/noetl/health", nil,
		append(bearer("no-such-session"), "X-Request-Id", "refused-1")...)
	lines := func(id, op string, replicas [stack.Replicas]*stack.Proc) bool {
		for _, p := range replicas {
			for line := range strings.Lines(p.Logs()) {
				if strings.Contains(line, `"request_id":"`+id+`"`) && strings.Contains(line, `"op":"`+op+`"`) {
					return true
				}
			}
		}
		return false
	}
	for _, want := range []struct {
		id, op   string
		replicas [stack.Replicas]*stack.Proc
	}{
		{"click-1", "edge.execute", s.Edge},
		{"click-1", "fanout.expect", s.Fanout},
		{"click-1", "fanout.bind", s.Fanout},
		{"click-1", "fanout.progress", s.Fanout},
		{"click-1", "fanout.complete", s.Fanout},
		{"refused-1", "auth.resolve", s.Auth},
	} {
		testkit.Eventually(t, want.op+" has its request id", func() bool {
			return lines(want.id, want.op, want.replicas)
		})
	}
	for _, p := range []*stack.Proc{s.Edge[0], s.Auth[0], s.Fanout[0], s.Ingress[0]} {
		if !strings.Contains(p.Logs(), `"msg":"started"`) || !strings.Contains(p.Logs(), `"mode":"split"`) {
			t.Errorf("a start is not in the log: %s", p.Logs())
		}
	}
}
