package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

func TestARepeatedDeliveryIsAnsweredAsTheFirst(t *testing.T) {
	t.Parallel()
	w := boot(t)
	status, first := w.send(
		"POST", "/ingress/hook", `{"n":1}`, "Authorization", "Bearer "+ingresstest.Secret, "X-Message-Id", "m1",
	)
	if status != 202 || !strings.Contains(first, ingresstest.FirstExecution) {
		t.Fatal(status, first)
	}
	for range 3 {
		if status, again := w.send(
			"POST", "/ingress/hook", `{"n":1}`, "Authorization", "Bearer "+ingresstest.Secret, "X-Message-Id", "m1",
		); status != 202 ||
			again != first {
			t.Errorf("%d %s, want %s", status, again, first)
		}
	}
	if n := len(w.noetl.Started()); n != 1 {
		t.Errorf("%d started", n)
	}
}

func TestDirectivesAreAudited(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.noetl.Put(noetlwire.Listener{
		Listener: "routed",
		Source:   "webhook",
		Verify:   noetlwire.Verify{Type: "bearer", Secret: ingresstest.Secret},
		Dispatch: noetlwire.Dispatch{Playbook: "p"},
		Directives: json.RawMessage(
			`{"directives":[{"header":"x-route","controls":"dispatch.playbook","allowed":["domain/billing"]}],"trace":{"propagate":"w3c"}}`,
		),
	})
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	status, body := w.send(
		"POST", "/ingress/routed", `{}`, "Authorization", ingresstest.Secret, "X-Route", "domain/billing",
		"Traceparent", parent,
	)
	if status != 202 {
		t.Fatal(status, body)
	}
	if got := w.noetl.Started()[0]; got.Path != "domain/billing" || got.Trace["traceparent"] != parent {
		t.Errorf("%+v", got)
	}
	testkit.Eventually(t, "the audit event arrives", func() bool {
		events := w.noetl.Audited()
		return len(events) == 1 && strings.Contains(string(events[0]), `"subscription.message.directives_applied"`) &&
			strings.Contains(string(events[0]), `"domain/billing"`)
	})
}

func TestAListenerHasALimit(t *testing.T) {
	t.Parallel()
	w := boot(t, "INGRESS_RATE_LISTENER_PER_MIN=20")
	limited := false
	for range 5 {
		status, body := w.send("POST", "/ingress/hook", `{}`, "Authorization", ingresstest.Secret)
		limited = limited || status == 429 && strings.Contains(body, `"rate_limited"`)
	}
	if !limited {
		t.Error("no limit")
	}
}

// Fault 11 (wire contract, section 13): a repetition does not run twice, and what could not be dispatched is kept and
// dispatched when NoETL is back; its sender need not send it again.
func TestFault11NothingIsLostAndNothingRunsTwice(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.noetl.FailExecute(fault.New(fault.Unavailable, "down", "down"))
	headers := []string{"Authorization", "Bearer " + ingresstest.Secret, "X-Message-Id", "m1"}
	status, first := w.send("POST", "/ingress/hook", `{}`, headers...)
	if status != 202 || !strings.Contains(first, `"delivery_id"`) {
		t.Fatalf("%d %s", status, first)
	}
	w.noetl.FailExecute(nil)
	testkit.Eventually(t, "the repetition has the first one's execution", func() bool {
		status, body := w.send("POST", "/ingress/hook", `{}`, headers...)
		return status == 202 && strings.Contains(body, ingresstest.FirstExecution)
	})
	if n := len(w.noetl.Started()); n != 1 {
		t.Errorf("%d started", n)
	}
}
