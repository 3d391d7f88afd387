package natsrelay_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsrelay"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestCallbackRelayConforms(t *testing.T) {
	t.Parallel()
	fanouttest.RunCallbackRelay(t, func(t *testing.T) (fanout.CallbackRelay, func(string, func([]byte))) {
		t.Helper()
		n := testkit.StartNATS(t)
		auth := n.Connect(t)
		return natsrelay.New(n.Connect(t), telemetry.Nop("test")), func(id string, take func([]byte)) {
			if _, err := auth.Subscribe(
				authwire.SubjectCallback+id,
				func(m *nats.Msg) { take(m.Data); _ = m.Respond(nil) },
			); err != nil {
				t.Fatal(err)
			}
			if err := auth.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTooLargeIsNoOutage(t *testing.T) {
	t.Parallel()
	r := natsrelay.New(testkit.StartNATS(t).Connect(t), telemetry.Nop("test"))
	_, err := r.Deliver(t.Context(), "r", make([]byte, 2<<20))
	if kind, _ := fault.KindOf(err); kind != fault.TooLarge {
		t.Fatal(err)
	}
}
