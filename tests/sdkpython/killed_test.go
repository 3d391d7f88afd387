package sdkpython_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// killed has a run go on over the death of the gateway. NoETL and its NATS live on.
func killed(t *testing.T, generation string) {
	t.Helper()
	nats := stack.StartNATS(t)
	shared := []string{
		"NATS_URL=" + nats.URL, "NOETL_INTERNAL_API_TOKEN=sandbox-internal-token", stack.Generation(generation),
	}
	sandbox := stack.Start(t, "sandbox", nil, shared...)
	settings := append([]string{
		"NOETL_BASE_URL=" + sandbox.Ready.NoETL, "AUTH_ISSUERS=" + sandbox.Ready.Issuer,
		"AUTH_AUDIENCES=noetl-console", "ROUTER_PORT=" + stack.FreePort(t),
		"GATEWAY_INTERNAL_PORT=" + stack.FreePort(t), "GATEWAY_DATA_DIR=" + t.TempDir(),
	}, shared[:2]...)
	if generation == "feed" {
		settings = append(settings, "NOETL_EVENT_FEED_ADDR="+strings.TrimPrefix(sandbox.Ready.NoETL, "http://"))
	}
	gateway := stack.Start(t, "noetl-gateway", []string{"serve"}, settings...)
	token := stack.Login(t, gateway.Ready.Public, sandbox.Ready.Issuer, "demo@example.com")
	s := start(t, "one", gateway.Ready.Public, token, "demo/slow", said{"seconds": 4})
	testkit.Eventually(t, "the run has started", func() bool {
		return len(stack.Executions(t, sandbox.Ready.NoETL, "demo/slow")) == 1
	})
	gateway.Kill()
	again := stack.Start(t, "noetl-gateway", []string{"serve"}, settings...)
	if again.Ready.Public != gateway.Ready.Public {
		t.Fatalf("it came again at %s, was at %s", again.Ready.Public, gateway.Ready.Public)
	}
	lines := s.all(t)
	if len(lines) != 1 {
		t.Fatalf("it said %v", lines)
	}
	if diff := cmp.Diff(map[string]any{"waited_seconds": 4.0}, lines[0]["result"]); diff != "" {
		t.Error(diff)
	}
	if n := len(stack.Executions(t, sandbox.Ready.NoETL, "demo/slow")); n != 1 {
		t.Errorf("%d executions were started, want one", n)
	}
}

// A replica of event-fanout is killed in the middle of a run, with the edge-proxy that leads to it, and neither comes
// back: the run goes on at the other one.
func TestAReplicaIsKilled(t *testing.T) {
	t.Parallel()
	split := stack.StartSplit(t)
	token := stack.Login(t, split.Edge[1].Ready.Public, split.Sandbox.Ready.Issuer, "demo@example.com")
	w := stack.NewWire(t, split.Edge[0].Ready.Public, split.Edge[1].Ready.Public)
	s := start(t, "reported", w.URL, token, "demo/progress", said{"step_ms": 1000})
	select {
	case line := <-s.lines:
		if diff := cmp.Diff(said{"first": "prepare"}, line); diff != "" {
			t.Fatal(diff)
		}
	case <-time.After(patience):
		t.Fatal("no progress")
	}
	split.Fanout[0].Kill()
	split.Edge[0].Kill()
	lines := s.all(t)
	if len(lines) != 1 {
		t.Fatalf("it said %v", lines)
	}
	want := map[string]any{"message": "all five steps are done", "step_ms": 1000.0, "steps": 5.0}
	if diff := cmp.Diff(want, lines[0]["result"]); diff != "" {
		t.Error(diff)
	}
	steps(t, lines[0])
	if n := w.Requests("GET /events"); n < 2 {
		t.Errorf("%d streams were opened: that of the killed replica was not the run's", n)
	}
	if n := len(stack.Executions(t, split.Sandbox.Ready.NoETL, "demo/progress")); n != 1 {
		t.Errorf("%d executions were started, want one", n)
	}
}
