package natsevents_test

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

func newPublisher(t *testing.T, n *testkit.NATS) *natsevents.Publisher {
	t.Helper()
	nc, err := natskit.Connect(natskit.Config{URL: n.URL(), Replicas: 1}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return natsevents.New(js, natsevents.Config{Stream: "NOETL_EVENTS", Prefix: "noetl.events.", Replicas: 1}, telemetry.Nop("test"))
}

// messages reads the stream from its start, until it holds no more.
func messages(t *testing.T, n *testkit.NATS) []*jetstream.RawStreamMsg {
	t.Helper()
	s, err := n.JetStream(t).Stream(t.Context(), "NOETL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	var all []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestConformance(t *testing.T) {
	sandboxtest.RunEventPublisher(t, func(t *testing.T) sandboxtest.EventLog {
		t.Helper()
		n := testkit.StartNATS(t)
		return sandboxtest.EventLog{
			EventPublisher: newPublisher(t, n),
			Stored: func(t *testing.T) []string {
				t.Helper()
				var lines []string
				for _, m := range messages(t, n) {
					var e struct {
						Type   string  `json:"event_type"`
						Step   *string `json:"step_name"`
						Status string  `json:"status"`
					}
					if err := json.Unmarshal(m.Data, &e); err != nil {
						t.Fatal(err)
					}
					step := ""
					if e.Step != nil {
						step = *e.Step
					}
					lines = append(lines, sandboxtest.Line(e.Type, step, e.Status))
				}
				return lines
			},
			Break: func(*testing.T) { n.Stop() },
			Mend:  func(t *testing.T) { t.Helper(); n.Start(t) },
		}
	})
}

func TestWireShapeIsThatOfNoETL(t *testing.T) {
	n := testkit.StartNATS(t)
	p := newPublisher(t, n)
	at := time.Date(2026, 1, 28, 22, 11, 41, 5000, time.UTC)
	if err := p.Publish(t.Context(), sandbox.Event{ExecutionID: "380000000000000001", Seq: 1, Type: "step.exit", Step: "load", Status: "completed", At: at}); err != nil {
		t.Fatal(err)
	}
	m := messages(t, n)[0]
	if m.Subject != "noetl.events.default.default.380000000000000001.0" {
		t.Errorf("subject %s", m.Subject)
	}
	want := `{"event_type":"step.exit","execution_id":380000000000000001,"step_name":"load","status":"completed","timestamp":"2026-01-28T22:11:41.000005Z"}`
	if string(m.Data) != want {
		t.Errorf("payload\n%s\nwant\n%s", m.Data, want)
	}
}

func TestBindsToAStreamThatIsThere(t *testing.T) {
	n := testkit.StartNATS(t)
	js := n.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "NOETL_EVENTS", Subjects: []string{"noetl.events.>"}, MaxMsgs: 7}); err != nil {
		t.Fatal(err)
	}
	if err := newPublisher(t, n).Publish(t.Context(), sandbox.Event{ExecutionID: "1", Seq: 1}); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "NOETL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.MaxMsgs != 7 || c.MaxAge != 0 {
		t.Errorf("somebody else's stream was changed: %+v", c)
	}
}
