package natskit_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// replica serves an operation that every replica answers until stop is called.
func replica(
	t *testing.T, n *testkit.NATS, name string, op func(context.Context, string) (string, error),
) (stop func()) {
	t.Helper()
	nc := n.Connect(t)
	row := natskit.HandleEach(kit.Observer{}, "op", "svc.op", kit.Limits{}, op)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- natskit.NewService(nc, telemetry.Nop("test"), "svc", "v", row).As(name).Run(ctx)
	}()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		nc.Close()
		done <- nil
	}
	t.Cleanup(stop)
	return stop
}

func TestEveryReplicaAnswers(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	c := natskit.NewClient(n.Connect(t), telemetry.Nop("test"))
	ask := func(what string) (names []string, answers []natskit.Answer[string]) {
		answers, err := natskit.Each[string, string](t.Context(), c, "svc", "op", what)
		if err != nil && what != "nobody" {
			t.Fatal(err)
		}
		for _, a := range answers {
			names = append(names, a.Replica)
		}
		return names, answers
	}
	echo := func(name string) func(context.Context, string) (string, error) {
		return func(_ context.Context, in string) (string, error) { return name + in, nil }
	}
	stop := replica(t, n, "b", echo("b"))
	replica(t, n, "a", echo("a"))
	replica(t, n, "c", func(context.Context, string) (string, error) {
		return "", fault.New(fault.Conflict, "no", "not now")
	})
	testkit.Eventually(t, "all replicas answer", func() bool {
		names, _ := ask("nobody")
		return cmp.Diff([]string{"a", "b", "c"}, names) == ""
	})
	testkit.Eventually(t, "all of them in time", func() bool {
		names, answers := ask("!")
		if cmp.Diff([]string{"a", "b", "c"}, names) != "" {
			return false
		}
		f := fault.Of(answers[2].Err)
		return answers[0].Value == "a!" && answers[1].Value == "b!" &&
			f != nil && f.Kind == fault.Conflict && f.Code == "no"
	})
	stop()
	testkit.Eventually(t, "who has gone is missing", func() bool {
		names, _ := ask("?")
		return cmp.Diff([]string{"a", "c"}, names) == ""
	})
	replica(t, n, "d", echo("d"))
	testkit.Eventually(t, "who is new is found", func() bool {
		names, _ := ask("?")
		return cmp.Diff([]string{"a", "c", "d"}, names) == ""
	})
}

// Who hangs holds nobody up, and is missing.
func TestAReplicaThatHangsIsMissing(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	c := natskit.NewClient(n.Connect(t), telemetry.Nop("test"))
	release := make(chan struct{})
	hangs := make(chan struct{}, 100)
	replica(t, n, "hangs", func(context.Context, string) (string, error) {
		hangs <- struct{}{}
		<-release
		return "", nil
	})
	replica(t, n, "works", func(context.Context, string) (string, error) { return "ok", nil })
	defer close(release)
	testkit.Eventually(t, "one answers", func() bool {
		begun := time.Now()
		answers, err := natskit.Each[string, string](t.Context(), c, "svc", "op", "x")
		if took := time.Since(begun); took > 10*time.Second {
			t.Fatalf("it took %s", took)
		}
		return err == nil && len(answers) == 1 && answers[0].Replica == "works" && len(hangs) > 0
	})
}

// Who has answered before and is late may have done what was asked: it is named, also if it is late again and again.
func TestAReplicaThatIsLateIsNamed(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	c := natskit.NewClient(n.Connect(t), telemetry.Nop("test"))
	replica(t, n, "fast", func(context.Context, string) (string, error) { return "ok", nil })
	late := make(chan chan struct{}, 100)
	replica(t, n, "late", func(_ context.Context, in string) (string, error) {
		if in == "slowly" {
			release := make(chan struct{})
			late <- release
			<-release
		}
		return "ok", nil
	})
	ask := func(in string) (good []string, silent []string) {
		answers, err := natskit.Each[string, string](t.Context(), c, "svc", "op", in)
		if err != nil {
			return nil, nil
		}
		for _, a := range answers {
			if f := fault.Of(a.Err); f != nil && f.Kind == fault.Unavailable && f.Code == "svc_slow" {
				silent = append(silent, a.Replica)
			} else if a.Err == nil {
				good = append(good, a.Replica)
			}
		}
		return good, silent
	}
	both := func() bool {
		good, _ := ask("now")
		return cmp.Diff([]string{"fast", "late"}, good) == ""
	}
	testkit.Eventually(t, "both are known", both)
	for range 2 {
		testkit.Eventually(t, "the late one is named", func() bool {
			good, silent := ask("slowly")
			for len(late) > 0 {
				close(<-late)
			}
			return cmp.Diff([]string{"fast"}, good) == "" && cmp.Diff([]string{"late"}, silent) == ""
		})
	}
	for len(late) > 0 {
		close(<-late)
	}
}

func TestNobodyServesIsAFault(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	c := natskit.NewClient(n.Connect(t), telemetry.Nop("test"))
	_, err := natskit.Each[string, string](t.Context(), c, "svc", "op", "x")
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || f.Code != "svc_unavailable" {
		t.Errorf("%v", err)
	}
	// An answer without a replica's name, or with an absurd one, is none.
	nc := n.Connect(t)
	var answered atomic.Int64
	if _, err := nc.Subscribe("op", func(m *nats.Msg) {
		_ = m.Respond([]byte(`"x"`))
		long := &nats.Msg{Subject: m.Reply, Data: []byte(`"x"`), Header: nats.Header{}}
		long.Header.Set("Gateway-Replica", strings.Repeat("x", 1000))
		_ = nc.PublishMsg(long)
		_ = nc.Flush()
		answered.Add(1)
	}); err != nil {
		t.Fatal(err)
	}
	replica(t, n, "good", func(context.Context, string) (string, error) { return "ok", nil })
	testkit.Eventually(t, "only the good one counts", func() bool {
		before := answered.Load()
		answers, err := natskit.Each[string, string](t.Context(), c, "svc", "op", "x")
		for _, a := range answers {
			if a.Replica != "good" {
				t.Fatalf("%+v", answers)
			}
		}
		return err == nil && len(answers) == 1 && answers[0].Value == "ok" && answered.Load() > before
	})
}

// The trace of a question that nobody answers says that it failed.
func TestTheSpanOfAQuestionThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	spans, tel := tracetest.NewSpanRecorder(), telemetry.Nop("test")
	tel.Tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	_, err := natskit.Each[string, string](t.Context(), natskit.NewClient(n.Connect(t), tel), "svc", "op", "x")
	ended := spans.Ended()
	if err == nil || len(ended) != 1 || ended[0].Status().Code != codes.Error {
		t.Errorf("%v: %d spans, %+v", err, len(ended), ended)
	}
}
