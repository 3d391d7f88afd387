package natsevents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

func newPublisher(t *testing.T, n *testkit.NATS, g sandbox.Generation) *natsevents.Publisher {
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
	cfg := natsevents.Config{Generation: g, Stream: natsevents.DefaultStream(g), Prefix: "noetl.events.", Replicas: 1}
	return natsevents.New(js, cfg, telemetry.Nop("test"))
}

// messages reads the stream from its start, until it holds no more.
func messages(t *testing.T, n *testkit.NATS, stream string) []*jetstream.RawStreamMsg {
	t.Helper()
	s, err := n.JetStream(t).Stream(t.Context(), stream)
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

// withNATS are the generations that publish here.
func withNATS() map[sandbox.Generation]string {
	return map[sandbox.Generation]string{sandbox.Python: "NOETL_EVENTS", sandbox.Rust: "noetl_events"}
}

func TestConformance(t *testing.T) {
	for g, stream := range withNATS() {
		t.Run(string(g), func(t *testing.T) {
			sandboxtest.RunEventPublisher(t, func(t *testing.T) sandboxtest.EventLog {
				t.Helper()
				n := testkit.StartNATS(t)
				return sandboxtest.EventLog{
					EventPublisher: newPublisher(t, n, g),
					Stored: func(t *testing.T) []string {
						t.Helper()
						var lines []string
						for _, m := range messages(t, n, stream) {
							var e struct {
								Type   string `json:"event_type"`
								Node   string `json:"node_name"`
								Status string `json:"status"`
							}
							if err := json.Unmarshal(m.Data, &e); err != nil {
								t.Fatal(err)
							}
							lines = append(lines, sandboxtest.Line(e.Type, e.Node, e.Status))
						}
						return lines
					},
					Break:  func(*testing.T) { n.Stop() },
					Repair: func(t *testing.T) { t.Helper(); n.Start(t) },
				}
			})
		})
	}
}

// started is the first event of an execution, finished the end of a step.
func started(g sandbox.Generation) sandbox.Event {
	e := sandboxtest.Event(1, "playbook_started", "demo/echo")
	e.Status = "STARTED"
	if g == sandbox.Python {
		e.Type, e.Status = "playbook.initialized", "initialized"
	}
	e.Workload = sandbox.Workload{"message": "hi", "request_id": "r-1"}
	e.At = time.Date(2026, 1, 28, 22, 11, 41, 5_000_000, time.UTC)
	return e
}

func finished() sandbox.Event {
	e := sandboxtest.Event(2, "call.done", "start")
	e.Command, e.Previous, e.Status = 380000000000000101, 380000000000000101, "COMPLETED"
	e.Result = sandbox.Workload{"n": json.Number("42")}
	e.At = time.Date(2026, 1, 28, 22, 11, 41, 123_456_000, time.UTC)
	return e
}

// Word for word what servers 2.103.4 and 3.54.0 were seen to publish, but for ids, times and the worker's name.
func TestWireShapeIsThatOfNoETL(t *testing.T) {
	for g, stream := range withNATS() {
		n := testkit.StartNATS(t)
		p := newPublisher(t, n, g)
		for _, e := range []sandbox.Event{started(g), finished()} {
			if err := p.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		var got strings.Builder
		for _, m := range messages(t, n, stream) {
			_, _ = fmt.Fprintf(&got, "%s %v\n%s\n\n", m.Subject, m.Header, m.Data)
		}
		want, err := os.ReadFile(filepath.Join("testdata", string(g)+".golden"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s: %s", g, diff)
		}
	}
}

func TestTheStreamIsThatOfTheServer(t *testing.T) {
	for g, name := range withNATS() {
		n := testkit.StartNATS(t)
		if err := newPublisher(t, n, g).Publish(t.Context(), started(g)); err != nil {
			t.Fatal(err)
		}
		s, err := n.JetStream(t).Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		if strings.Join(c.Subjects, " ") != "noetl.events.>" || c.Storage != jetstream.FileStorage ||
			c.Retention != jetstream.LimitsPolicy ||
			c.MaxAge != 24*time.Hour || c.Duplicates != 2*time.Minute {
			t.Errorf("%s: %+v", g, c)
		}
	}
}

func TestBindsToAStreamThatIsThere(t *testing.T) {
	n := testkit.StartNATS(t)
	js := n.JetStream(t)
	if _, err := js.CreateStream(
		t.Context(), jetstream.StreamConfig{Name: "noetl_events", Subjects: []string{"noetl.events.>"}, MaxMsgs: 7},
	); err != nil {
		t.Fatal(err)
	}
	if err := newPublisher(t, n, sandbox.Rust).Publish(t.Context(), started(sandbox.Rust)); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "noetl_events")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.MaxMsgs != 7 || c.MaxAge != 0 {
		t.Errorf("somebody else's stream was changed: %+v", c)
	}
}

// run runs the publisher as a component, until the test ends.
func run(t *testing.T, p *natsevents.Publisher) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTheRustServerMakesItsStreamWhenItStarts(t *testing.T) {
	n := testkit.StartNATS(t)
	n.Stop()
	run(t, newPublisher(t, n, sandbox.Rust))
	n.Start(t)
	js := n.JetStream(t)
	testkit.Eventually(t, "the stream, although NATS came later", func() bool {
		_, err := js.Stream(t.Context(), "noetl_events")
		return err == nil
	})
}

// Servers of two generations cannot share one NATS: the second one publishes nothing.
func TestTheStreamOfAnotherGenerationIsInTheWay(t *testing.T) {
	n := testkit.StartNATS(t)
	if err := newPublisher(t, n, sandbox.Rust).Publish(t.Context(), started(sandbox.Rust)); err != nil {
		t.Fatal(err)
	}
	err := newPublisher(t, n, sandbox.Python).Publish(t.Context(), started(sandbox.Python))
	if kind, failed := fault.KindOf(err); !failed || kind != fault.Conflict || fault.Of(err).Code != "stream_overlap" {
		t.Errorf("err = %v", err)
	}
	if _, err := n.JetStream(t).Stream(t.Context(), "NOETL_EVENTS"); err == nil {
		t.Error("the stream was made")
	}
}

func TestResultsThatAreTooLargeAreLeftOut(t *testing.T) {
	for g, stream := range withNATS() {
		n := testkit.StartNATS(t)
		p := newPublisher(t, n, g)
		big := finished()
		big.Result = string(bytes.Repeat([]byte("x"), 900<<10))
		for _, e := range []sandbox.Event{started(g), big} {
			if err := p.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		got := messages(t, n, stream)
		switch {
		case g == sandbox.Rust && len(got) == 1: // the whole row
		case g == sandbox.Python && len(got) == 2 && bytes.Contains(got[1].Data, []byte(`"ref":"noetl://execution/`)):
		default:
			t.Errorf("%s: %d messages", g, len(got))
		}
	}
}
