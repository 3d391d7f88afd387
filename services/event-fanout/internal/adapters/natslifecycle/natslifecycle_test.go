package natslifecycle_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natslifecycle"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func newLog(t *testing.T, n *testkit.NATS) *natslifecycle.Log {
	t.Helper()
	log, err := natslifecycle.New(
		n.Connect(t), natslifecycle.Config{TTL: time.Hour, MaxBytes: 1 << 20, Replicas: 1}, telemetry.Nop("test"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestLogConforms(t *testing.T) {
	t.Parallel()
	fanouttest.RunLifecycleLog(t, func(t *testing.T) (fanout.LifecycleLog, func(bool)) {
		t.Helper()
		n := testkit.StartNATS(t)
		log, js := newLog(t, n), n.JetStream(t)
		return log, func(refuse bool) { // the server does, by a limit that the gateway never sets
			t.Helper()
			s, err := js.Stream(t.Context(), natslifecycle.StreamName)
			if err != nil {
				t.Fatal(err)
			}
			cfg := s.CachedInfo().Config
			cfg.MaxMsgSize = -1
			if refuse {
				cfg.MaxMsgSize = 2 << 10
			}
			if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func event(id string) fanout.LifecycleEvent {
	return fanout.LifecycleEvent{
		ID:    id,
		State: fanout.State{ExecutionID: "1", EventType: "step.exit", At: "2026-01-02T03:04:05Z"},
		Trace: map[string]string{"traceparent": "00-1-2-01"},
	}
}

// A stream that somebody deleted is made again, and an outage loses nothing of a batch that is given again.
func TestLogOutlivesOutages(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	log := newLog(t, n)
	if err := log.Append(t.Context(), []fanout.LifecycleEvent{event("a")}); err != nil {
		t.Fatal(err)
	}
	if err := n.JetStream(t).DeleteStream(t.Context(), natslifecycle.StreamName); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the log is made again", func() bool {
		return log.Append(t.Context(), []fanout.LifecycleEvent{event("b")}) == nil
	})
	n.Stop()
	if err := log.Append(t.Context(), []fanout.LifecycleEvent{event("c")}); err == nil {
		t.Fatal("stored without NATS")
	}
	n.Start(t)
	testkit.Eventually(t, "the log takes events again", func() bool {
		return log.Append(t.Context(), []fanout.LifecycleEvent{event("b"), event("c")}) == nil
	})
	events, more, err := log.After(t.Context(), "1", 0, 10)
	if err != nil || more || len(events) != 2 || events[0].ID != "b" || events[1].ID != "c" {
		t.Fatalf("%+v %t %v", events, more, err)
	}
	s, err := log.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.GetMsg(t.Context(), events[1].Seq); err != nil || m.Header.Get("traceparent") != "00-1-2-01" {
		t.Errorf("the trace context is %v, %v", m, err)
	}
}
