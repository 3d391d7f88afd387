package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

// The first delivery after NATS came back empty is remembered, so that its repetition runs nothing.
func TestTheFirstDeliveryAfterALossOfDataIsRemembered(t *testing.T) {
	t.Parallel()
	w := boot(t)
	deliver := func(id string) {
		t.Helper()
		for range 2 {
			status, answer := w.send(
				"POST", "/ingress/hook", `{}`, "Authorization", "Bearer "+ingresstest.Secret, "X-Message-Id", id,
			)
			if status != 202 {
				t.Fatal(status, answer)
			}
		}
	}
	deliver("m1")
	w.nats.Lose(t)
	testkit.Eventually(t, "it has reconnected", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return natskit.Probe(w.conn)(ctx) == nil
	})
	deliver("m2")
	if n := len(w.noetl.Started()); n != 2 {
		t.Errorf("%d started", n)
	}
}
