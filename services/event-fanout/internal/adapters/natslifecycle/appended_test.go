package natslifecycle_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natslifecycle"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

func stepOf(execution, id string) fanout.LifecycleEvent {
	e := event(id)
	e.State.ExecutionID = execution
	return e
}

// Who appends alone knows what is new without asking, also of executions that had events before; and asks again when
// it has not been alone.
func TestWhoAppendsAloneKnowsWhatIsNew(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	before := newLog(t, n)
	if err := before.Append(t.Context(), []fanout.LifecycleEvent{stepOf("old", "a"), stepOf("old", "b")}); err != nil {
		t.Fatal(err)
	}
	nc := n.Connect(t)
	log, err := natslifecycle.New(
		nc, natslifecycle.Config{TTL: time.Hour, MaxBytes: 1 << 20, Replicas: 1}, telemetry.Nop("test"),
	)
	if err != nil {
		t.Fatal(err)
	}
	since := time.Now().Add(-time.Hour)
	log.Alone(func() (time.Time, bool) { return since, !since.IsZero() })
	anyNew := func(execution string, after uint64) (anyNew bool, asked uint64) {
		t.Helper()
		sent := nc.Stats().OutMsgs
		anyNew, err := log.Any(t.Context(), execution, after)
		if err != nil {
			t.Fatal(err)
		}
		return anyNew, nc.Stats().OutMsgs - sent
	}
	testkit.Eventually(t, "it knows of an execution without events", func() bool {
		has, asked := anyNew("none", 0)
		return !has && asked == 0
	})
	if has, asked := anyNew("old", 0); !has || asked == 0 {
		t.Errorf("events from before: %t, asked %d times", has, asked)
	}
	if has, _ := anyNew("old", 2); has {
		t.Error("nothing came after the events from before")
	}
	if err := log.Append(t.Context(), []fanout.LifecycleEvent{stepOf("new", "c")}); err != nil {
		t.Fatal(err)
	}
	if has, asked := anyNew("new", 0); !has || asked != 0 {
		t.Errorf("its own event: %t, asked %d times", has, asked)
	}
	if has, asked := anyNew("new", 3); has || asked != 0 {
		t.Errorf("after its own event: %t, asked %d times", has, asked)
	}
	// Another process takes over, and gives the sources back.
	since = time.Time{}
	if err := before.Append(t.Context(), []fanout.LifecycleEvent{stepOf("new", "d")}); err != nil {
		t.Fatal(err)
	}
	if has, asked := anyNew("new", 3); !has || asked == 0 {
		t.Errorf("somebody else's event: %t, asked %d times", has, asked)
	}
	since = time.Now().Add(-time.Minute)
	if has, _ := anyNew("new", 3); !has {
		t.Error("the other's event was forgotten")
	}
}

// An event whose acknowledgement did not come may be in the log or not: it is asked.
func TestWhatMayBeStoredIsAsked(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	log, err := natslifecycle.New(
		nc, natslifecycle.Config{TTL: time.Hour, MaxBytes: 1 << 20, Replicas: 1}, telemetry.Nop("test"),
	)
	if err != nil {
		t.Fatal(err)
	}
	log.Alone(func() (time.Time, bool) { return time.Unix(1, 0), true })
	known := func() bool {
		sent := nc.Stats().OutMsgs
		has, err := log.Any(t.Context(), "1", 0)
		return err == nil && !has && nc.Stats().OutMsgs == sent
	}
	testkit.Eventually(t, "it knows that there is nothing", known)
	n.Stop()
	if err := log.Append(t.Context(), []fanout.LifecycleEvent{event("a")}); err == nil {
		t.Fatal("stored without NATS")
	}
	n.Start(t)
	testkit.Eventually(t, "the connection is back", func() bool { return nc.Status() == nats.CONNECTED })
	if known() {
		t.Error("it says that there is nothing, without asking")
	}
}
