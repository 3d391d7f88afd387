package natskit_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	_, answers := ask("!")
	if answers[0].Value != "a!" || answers[1].Value != "b!" {
		t.Errorf("%+v", answers)
	}
	if f := fault.Of(answers[2].Err); f == nil || f.Kind != fault.Conflict || f.Code != "no" {
		t.Errorf("a replica's fault: %v", answers[2].Err)
	}
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
	sub, err := nc.SubscribeSync("op")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if m, err := sub.NextMsg(10 * time.Second); err == nil {
			_ = m.Respond([]byte(`"x"`))
			m.Header.Set("Gateway-Replica", strings.Repeat("x", 1000))
			_ = m.RespondMsg(m)
		}
	}()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	answers, err := natskit.Each[string, string](t.Context(), c, "svc", "op", "x")
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || len(answers) != 0 {
		t.Errorf("%v %v", answers, err)
	}
}
