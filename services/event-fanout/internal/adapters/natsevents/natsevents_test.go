package natsevents_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

const execution = "582940187123449857" // above 2^53: a float would change it

// reading runs a source as an intake does and keeps what it hands on.
type reading struct {
	source *natsevents.Source
	stop   func()

	mu     sync.Mutex
	cursor fanout.Cursor
	got    []string // "execution type" of each event
	state  fanout.SourceState
	ends   int
}

func types() []string {
	return fanout.Wanted([]string{"step.enter", "step.exit", "command.failed", "calendar.event.touched"})
}

func read(t *testing.T, js jetstream.JetStream, cfg natsevents.Config, cursor fanout.Cursor) *reading {
	t.Helper()
	cfg.Types, cfg.Names, cfg.FirstLook = types(), []string{"server_b", "SERVER_A"}, time.Hour
	r := &reading{source: natsevents.New(js, cfg, slog.New(slog.DiscardHandler)), cursor: cursor}
	if r.cursor == nil {
		r.cursor = fanout.Cursor{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = r.source.Read(ctx, r.position(), r.report, r.take) // an outage; it is read again
			r.mu.Lock()
			r.ends++
			r.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(r.stop)
	return r
}

func (r *reading) position() fanout.Cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.cursor)
}

func (r *reading) report(s fanout.SourceState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
}

func (r *reading) take(_ context.Context, b fanout.SourceBatch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range b.Events {
		s, _, err := fanout.ParseState(e.Payload, e.ExecutionID)
		if err != nil {
			return err
		}
		r.got = append(r.got, s.ExecutionID+" "+s.EventType+" "+s.StepName)
	}
	r.cursor[b.Part] = b.Position
	return nil
}

func (r *reading) has(t *testing.T, want ...string) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("the events %v", want), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Equal(r.got, want)
	})
}

func (r *reading) reads(t *testing.T, want string) {
	t.Helper()
	testkit.Eventually(t, "reading "+want, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.state.Reading == want && (want != "") == (r.state.Problem == "")
	})
}

// noetl makes streams under other names than NoETL's, which are NoETL's alone to make, and publishes to
// them as its servers do.
type noetl struct {
	t  *testing.T
	js jetstream.JetStream
}

func (n noetl) stream(name string, subjects ...string) {
	n.t.Helper()
	if _, err := n.js.CreateStream(n.t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects}); err != nil {
		n.t.Fatal(err)
	}
}

func (n noetl) publish(subject, payload string) {
	n.t.Helper()
	if _, err := n.js.Publish(n.t.Context(), subject, []byte(payload)); err != nil {
		n.t.Fatal(err)
	}
}

// python publishes as the Python server does: the type is only in the payload.
func (n noetl) python(step string) {
	n.t.Helper()
	n.publish("noetl.events.default.default."+execution+".0", `{"event_type":"step.exit","step_name":"`+step+`"}`)
}

// rust publishes as the Rust server does: the execution is only in the payload.
func (n noetl) rust(eventType, step string) {
	n.t.Helper()
	n.publish(
		"noetl.events."+eventType,
		`{"event_type":"`+eventType+`","execution_id":`+execution+`,"node_name":"`+step+`"}`,
	)
}

func exit(steps ...string) []string {
	var out []string
	for _, s := range steps {
		out = append(out, execution+" step.exit "+s)
	}
	return out
}

// Every order of start, for every generation and every spelling of the prefix, ends with all events read.
func TestEveryStartOrderOfEveryGeneration(t *testing.T) {
	t.Parallel()
	generations := map[string]struct {
		stream, subject string
		publish         func(noetl, string)
	}{
		"python": {"SERVER_A", "noetl.events.>", func(n noetl, step string) { n.t.Helper(); n.python(step) }},
		"rust": {
			"server_b",
			"noetl.events.>",
			func(n noetl, step string) { n.t.Helper(); n.rust("step.exit", step) },
		},
		"legacy": {"PLAYBOOKS", "playbooks.executions.>", func(n noetl, step string) {
			n.t.Helper()
			n.publish("playbooks.executions."+execution+".x", `{"type":"step.exit","step":"`+step+`"}`)
		}},
		"renamed": {
			"acme_events",
			"noetl.events.>",
			func(n noetl, step string) { n.t.Helper(); n.rust("step.exit", step) },
		},
	}
	for generation, g := range generations {
		for _, prefix := range []string{"noetl.events.", "noetl.events", "playbooks.executions."} {
			for _, order := range []string{"gateway first", "NoETL first", "NATS last"} {
				t.Run(generation+" "+prefix+" "+order, func(t *testing.T) {
					t.Parallel()
					server := testkit.StartNATS(t)
					n := noetl{t, server.JetStream(t)}
					cfg := natsevents.Config{Prefix: prefix}
					var r *reading
					switch order {
					case "gateway first":
						r = read(t, server.JetStream(t), cfg, nil)
						r.reads(t, "")
						n.stream(g.stream, g.subject)
						g.publish(n, "a")
					case "NoETL first":
						n.stream(g.stream, g.subject)
						g.publish(n, "a")
						r = read(t, server.JetStream(t), cfg, nil)
					case "NATS last":
						js := server.JetStream(t)
						server.Stop()
						r = read(t, js, cfg, nil)
						server.Start(t)
						n.js = server.JetStream(t)
						n.stream(g.stream, g.subject)
						g.publish(n, "a")
					}
					r.reads(t, "JetStream stream "+g.stream)
					g.publish(n, "b")
					r.has(t, exit("a", "b")...)
					if err := r.source.Settle(t.Context()); err != nil {
						t.Error(err)
					}
					onlyTheseStreams(t, n.js, g.stream)
				})
			}
		}
	}
}

// onlyTheseStreams fails if somebody made another stream or changed one: they are NoETL's.
func onlyTheseStreams(t *testing.T, js jetstream.JetStream, names ...string) {
	t.Helper()
	var got []string
	list := js.StreamNames(t.Context())
	for name := range list.Name() {
		got = append(got, name)
	}
	if err := list.Err(); err != nil || !slices.Equal(got, names) {
		t.Errorf("streams %v, %v", got, err)
	}
}

func TestStreamsThatAreReplaced(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	r := read(t, server.JetStream(t), natsevents.Config{Prefix: "noetl.events."}, nil)
	n.stream("server_b", "noetl.events.>")
	n.rust("step.exit", "a")
	n.rust("step.exit", "b")
	r.has(t, exit("a", "b")...)
	if err := n.js.DeleteStream(t.Context(), "server_b"); err != nil {
		t.Fatal(err)
	}
	n.stream("server_b", "noetl.events.>")
	n.rust("step.exit", "c") // its sequence is 1 again
	r.has(t, exit("a", "b", "c")...)
	if err := n.js.DeleteStream(t.Context(), "server_b"); err != nil {
		t.Fatal(err)
	}
	r.reads(t, "")
	n.stream("other_name", "noetl.events.>")
	n.rust("step.exit", "d")
	r.has(t, exit("a", "b", "c", "d")...)
	r.reads(t, "JetStream stream other_name")
}

func TestTheNextReaderGoesOnWhereTheLastWas(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("server_b", "noetl.events.>")
	r := read(t, server.JetStream(t), natsevents.Config{Prefix: "noetl.events."}, nil)
	n.rust("step.exit", "a")
	r.has(t, exit("a")...)
	r.stop()
	n.rust("step.exit", "b") // while nobody reads
	next := read(t, server.JetStream(t), natsevents.Config{Prefix: "noetl.events."}, r.position())
	n.rust("step.exit", "c")
	next.has(t, exit("b", "c")...)
	server.Stop()
	server.Start(t)
	n.js = server.JetStream(t)
	n.rust("step.exit", "d")
	next.has(t, exit("b", "c", "d")...)
}

// What is not forwarded is not read where subjects have the type: payloads hold whole results.
func TestOnlyWhatIsWantedIsReadByType(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("server_b", "noetl.events.>")
	r := read(t, server.JetStream(t), natsevents.Config{Prefix: "noetl.events."}, nil)
	for _, eventType := range []string{
		"command.issued", "step.enter", "call.done", "command.failed", "playbook_cancelled", "execution.cancelled",
		"workflow.completed", "playbook.completed", "calendar.event.touched",
	} {
		n.rust(eventType, "")
	}
	r.has(
		t, execution+" step.enter ", execution+" command.failed ", execution+" playbook.cancelled ",
		execution+" playbook.cancelled ", execution+" playbook.completed ", execution+" calendar.event.touched ",
	)
}

// A NATS user that may not list streams, or not look at all of them, finds NoETL's by their names.
func TestWithoutThePermissionToListStreams(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("server_b", "noetl.events.>")
	js, err := jetstream.NewWithAPIPrefix(server.Connect(t), "$JS.API") // a connection of its own
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, silentLists{js}, natsevents.Config{Prefix: "noetl.events."}, nil)
	n.rust("step.exit", "a")
	r.has(t, exit("a")...)
}

// silentLists answers lists of streams as NATS does where that is forbidden: not at all.
type silentLists struct{ jetstream.JetStream }

func (s silentLists) StreamNames(ctx context.Context, _ ...jetstream.StreamListOpt) jetstream.StreamNameLister {
	<-ctx.Done()
	return noNames{ctx.Err()}
}

type noNames struct{ err error }

func (noNames) Name() <-chan string { c := make(chan string); close(c); return c }
func (n noNames) Err() error        { return n.err }

func TestANamedStreamIsReadAlone(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("old", "playbooks.executions.>")
	n.stream("mine", "noetl.events.>")
	r := read(t, server.JetStream(t), natsevents.Config{Prefix: "noetl.events.", Stream: "mine"}, nil)
	n.publish("playbooks.executions."+execution, `{"type":"step.exit","step":"old"}`)
	n.python("a")
	r.has(t, exit("a")...)
	r.reads(t, "JetStream stream mine")
	both := read(t, server.JetStream(t), natsevents.Config{Prefix: "playbooks.executions."}, nil)
	both.reads(t, "JetStream stream mine, old")
}

// Many events arrive in order, each once, while Settle is asked all the time.
func TestManyEventsInOrder(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("server_b", "noetl.events.>")
	r := read(t, server.JetStream(t), natsevents.Config{Prefix: "noetl.events."}, nil)
	var want []string
	for i := range 3000 {
		step := fmt.Sprintf("%04d", i)
		want = append(want, execution+" step.exit "+step)
		n.rust("step.exit", step)
		if i%100 == 50 {
			if err := r.source.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.mu.Lock()
			got := len(r.got)
			r.mu.Unlock()
			if got != i+1 {
				t.Fatalf("settled with %d of %d events", got, i+1)
			}
		}
	}
	r.has(t, want...)
}

// The consumer is in memory and goes with its reader: nothing of the gateway stays in NoETL's stream.
func TestNoConsumerIsLeft(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("server_b", "noetl.events.>")
	r := read(t, server.JetStream(t), natsevents.Config{Prefix: "noetl.events."}, nil)
	r.reads(t, "JetStream stream server_b")
	r.stop()
	s, err := n.js.Stream(t.Context(), "server_b")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil || info.State.Consumers != 0 {
		t.Errorf("%d consumers, %v", info.State.Consumers, err)
	}
}

func TestTraceContextComesAlong(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("server_b", "noetl.events.>")
	got := make(chan fanout.SourceEvent, 1)
	source := natsevents.New(
		server.JetStream(t), natsevents.Config{Prefix: "noetl.events.", Types: types(), FirstLook: time.Hour},
		slog.New(slog.DiscardHandler),
	)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- source.Read(ctx, nil, func(fanout.SourceState) {}, func(_ context.Context, b fanout.SourceBatch) error {
			got <- b.Events[0]
			return nil
		})
	}()
	msg := &nats.Msg{
		Subject: "noetl.events.step.exit",
		Data:    []byte(`{"type":"step.exit"}`),
		Header:  nats.Header{"traceparent": {"00-a-b-01"}, "other": {"x"}},
	}
	if _, err := n.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	if e := <-got; len(e.Trace) != 1 || e.Trace["traceparent"] != "00-a-b-01" || !strings.HasPrefix(e.ID, "server_b@") {
		t.Errorf("%+v", e)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestExecutionIDsInSubjects(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		"noetl.events.t.o.1.0": "1", "noetl.events.t.o.1.0.x": "1", "noetl.events.": "", "noetl.events.t.o": "",
		"noetl.events.calendar.event.touched": "",
		"other.t.o.1.0":                       "", "noetl.events.t.o.a b.0": "", "noetl.events.t.o.é.0": "", "": "",
	} {
		if id := natsevents.NewSubjects("noetl.events").ExecutionID(subject); id != want {
			t.Errorf("%q: %q", subject, id)
		}
	}
	for subject, want := range map[string]string{
		"playbooks.executions.5": "5", "playbooks.executions.5.step.exit": "5", "playbooks.executions": "",
	} {
		if id := natsevents.NewSubjects("playbooks.executions.").ExecutionID(subject); id != want {
			t.Errorf("%q: %q", subject, id)
		}
	}
}
