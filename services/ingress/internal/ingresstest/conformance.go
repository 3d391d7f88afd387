package ingresstest

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/wire"
)

// RunListenerSource is the conformance suite of [ingress.ListenerSource]. newPort returns the
// port and the fake that answers behind it.
func RunListenerSource(t *testing.T, newPort func(t *testing.T) (ingress.ListenerSource, *NoETL)) {
	t.Helper()
	t.Run("finds all of it", func(t *testing.T) {
		port, behind := newPort(t)
		want := noetlwire.Listener{
			Listener:       "full",
			CatalogPath:    "c",
			Source:         "pubsub",
			SubscriptionID: "7",
			Verify:         noetlwire.Verify{Type: "t", Header: "h", Secret: "s", Audience: "a", ServiceAccount: "sa"},
			Dispatch: noetlwire.Dispatch{
				Playbook:      "p",
				PayloadFrom:   "message.body",
				ExecutionPool: "e",
			},
			Directives: []byte(`{"directives":[{"header":"x","controls":"idempotency_key"}]}`),
		}
		behind.Put(want)
		got, err := port.Listener(t.Context(), "full")
		if !reflect.DeepEqual(got, wire.Listener(want)) || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("tells what is absent from what cannot be told", func(t *testing.T) {
		port, behind := newPort(t)
		if _, err := port.Listener(t.Context(), "none"); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
			t.Errorf("absent: %v", err)
		}
		behind.Fail(fault.New(fault.Unavailable, "x", "x"))
		if _, err := port.Listener(t.Context(), "orders"); !fault.IsOutage(err) {
			t.Errorf("unavailable: %v", err)
		}
		behind.Fail(nil)
		if _, err := port.Listener(t.Context(), "orders"); err != nil {
			t.Errorf("an outage must not be remembered: %v", err)
		}
	})
	t.Run("knows without asking", func(t *testing.T) {
		port, behind := newPort(t)
		memory, ok := port.(ingress.ListenerMemory)
		if !ok {
			return // an optional power
		}
		if memory.Known("orders") || memory.Known("none") || len(behind.Asked()) != 0 {
			t.Errorf("known before it was asked for, or asked %v", behind.Asked())
		}
		for _, name := range []string{"orders", "none"} {
			_, _ = port.Listener(t.Context(), name)
			if got := memory.Known(name); got != (name == "orders") {
				t.Errorf("%s: known %v", name, got)
			}
		}
	})
}

// RunDispatcher is the conformance suite of [ingress.Dispatcher].
func RunDispatcher(t *testing.T, newPort func(t *testing.T) (ingress.Dispatcher, *NoETL)) {
	t.Helper()
	port, behind := newPort(t)
	parent := int64(582940187123449857)
	want := noetlwire.ExecuteRequest{
		Path:              "p",
		Workload:          map[string]any{"a": "b"},
		ResourceKind:      noetlwire.KindPlaybook,
		ExecutionPool:     "e",
		ParentExecutionID: &parent,
	}
	out, err := port.Execute(t.Context(), want)
	if err != nil || out.ExecutionID != FirstExecution {
		t.Errorf("%+v %v", out, err)
	}
	if diff := cmp.Diff([]noetlwire.ExecuteRequest{want}, behind.Started()); diff != "" {
		t.Error(diff)
	}
	behind.Fail(fault.New(fault.Invalid, "x", "x"))
	if _, err := port.Execute(t.Context(), want); err == nil || fault.IsOutage(err) || len(behind.Started()) != 1 {
		t.Errorf("a refusal: %v, %d started", err, len(behind.Started()))
	}
}
