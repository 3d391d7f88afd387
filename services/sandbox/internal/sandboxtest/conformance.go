package sandboxtest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// EventLog is a publisher under test and a way to see what it stored.
type EventLog struct {
	sandbox.EventPublisher
	Stored func(t *testing.T) []string // as [Line] writes them
	// Break and Repair make what it publishes to unavailable and available again; nil where nothing can.
	Break, Repair func(t *testing.T)
}

// Event makes an event of an execution that goes on; id tells two apart.
func Event(id int64, kind, step string) sandbox.Event {
	return sandbox.Event{
		Run: &sandbox.Run{ExecutionID: "380000000000000001", CatalogID: "770000000000000001", Path: "demo/echo"},
		ID:  380000000000000100 + id, Type: kind, Node: step, Status: "RUNNING", At: time.Unix(1_700_000_000, 0).UTC(),
	}
}

// RunEventPublisher is the conformance suite of [sandbox.EventPublisher].
func RunEventPublisher(t *testing.T, newLog func(t *testing.T) EventLog) {
	t.Helper()
	t.Run("stores in order, each once", func(t *testing.T) {
		log := newLog(t)
		for _, e := range []sandbox.Event{
			Event(1, "playbook_started", "demo/echo"), Event(2, "step.enter", "a"), Event(2, "step.enter", "a"),
			Event(3, "step.exit", "a"), Event(1, "playbook_started", "demo/echo"),
		} {
			if err := log.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"playbook_started demo/echo RUNNING", "step.enter a RUNNING", "step.exit a RUNNING"}
		if diff := cmp.Diff(want, log.Stored(t)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an id that is smaller than that of another execution is stored all the same", func(t *testing.T) {
		log := newLog(t)
		late := Event(4, "step.enter", "late")
		late.Run = &sandbox.Run{ExecutionID: "380000000000000003", CatalogID: "770000000000000001", Path: "demo/echo"}
		for _, e := range []sandbox.Event{Event(9, "step.enter", "a"), late} {
			if err := log.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"step.enter a RUNNING", "step.enter late RUNNING"}, log.Stored(t)); diff != "" {
			t.Error(diff)
		}
	})
	if log := newLog(t); log.Break != nil {
		t.Run("an outage is an outage, and ends", func(t *testing.T) { repairs(t, log) })
	}
}

func repairs(t *testing.T, log EventLog) {
	t.Helper()
	if err := log.Publish(t.Context(), Event(1, "playbook_started", "demo/echo")); err != nil {
		t.Fatal(err)
	}
	log.Break(t)
	if err := log.Publish(t.Context(), Event(2, "step.enter", "a")); !fault.IsOutage(err) {
		t.Errorf("err = %v, want an outage", err)
	}
	log.Repair(t)
	testkit.Eventually(t, "it recovers", func() bool {
		return log.Publish(t.Context(), Event(2, "step.enter", "a")) == nil
	})
	if got := log.Stored(t); len(got) != 2 {
		t.Errorf("stored %v", got)
	}
}

// Gateway is a sender under test and the gateway that it sends to.
type Gateway struct {
	sandbox.CallbackSender
	URL  string
	Sent func() []string // request ids, in order
	// Refuse makes the gateway answer as if this were the failure; nil ends it.
	Refuse func(fault.Kind)
}

// RunCallbackSender is the conformance suite of [sandbox.CallbackSender].
func RunCallbackSender(t *testing.T, newGateway func(t *testing.T) Gateway) {
	t.Helper()
	t.Run("sends once", func(t *testing.T) {
		g := newGateway(t)
		for _, form := range []sandbox.Form{sandbox.FormProgress, sandbox.FormResult, sandbox.FormReply} {
			if err := g.Send(
				t.Context(), g.URL, sandbox.Callback{Form: form, RequestID: "r1", ExecutionID: "1"},
			); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"r1", "r1", "r1"}, g.Sent()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an unknown request is not found, others tell whether to try again", func(t *testing.T) {
		g := newGateway(t)
		for _, kind := range []fault.Kind{fault.NotFound, fault.Unavailable, fault.RateLimited, fault.Invalid} {
			g.Refuse(kind)
			err := g.Send(t.Context(), g.URL, sandbox.Callback{Form: sandbox.FormResult, RequestID: "r1"})
			if got, failed := fault.KindOf(err); !failed || got != kind {
				t.Errorf("err = %v, want %v", err, kind)
			}
		}
	})
	t.Run("refuses other hosts", func(t *testing.T) {
		g := newGateway(t)
		for _, bad := range []string{
			"http://192.0.2.1", "http://example.com", "ftp://127.0.0.1", "//127.0.0.1", "http://u:p@127.0.0.1", "", ":",
			"http://127.0.0.1.example.com",
		} {
			if g.Allowed(bad) == nil || g.Send(t.Context(), bad, sandbox.Callback{}) == nil {
				t.Errorf("%q is allowed", bad)
			}
		}
	})
}

// SessionStore is a writer under test and a way to see what it wrote.
type SessionStore struct {
	sandbox.SessionWriter
	Get func(t *testing.T, token string) (sandbox.SessionRecord, error)
}

// RunSessionWriter is the conformance suite of [sandbox.SessionWriter].
func RunSessionWriter(t *testing.T, newStore func(t *testing.T) SessionStore) {
	t.Helper()
	s := newStore(t)
	r := sandbox.SessionRecord{
		SessionToken: "sbx_1001_1_ab", UserID: 1001, Email: "a@example.com", ExpiresAt: "x", IsActive: true,
		Roles: []string{"user"},
	}
	for _, name := range []string{"first", "second"} {
		r.DisplayName = name
		if err := s.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Get(t, r.SessionToken)
	if diff := cmp.Diff(r, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// ErrNoRecord is what a Get of a [SessionStore] returns for an unknown token.
var ErrNoRecord = errors.New("no record")
