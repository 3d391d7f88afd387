package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

// A replica that says that it is ready again must not find out with its first callers what is gone.
func TestTheFirstUsesAfterALossOfDataSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	work := func(request string) {
		t.Helper()
		w.ticket(a.public, token)
		stream := testkit.OpenEvents(t, a.public, token, nil)
		client := stream.ClientID(t)
		w.expect(request, client)
		w.bind(request, execution)
		if code, body := w.post(
			a.internal+"/api/internal/callback/async",
			`{"request_id":"`+request+`","data":1}`,
		); code != 200 {
			t.Fatalf("callback: %d %s", code, body)
		}
		stream.Until(t, "playbook/result")
	}
	work("r1")
	w.nats.Lose(t)
	testkit.Eventually(t, "all say that they are ready", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, service := range []string{"auth", "event-fanout"} {
			if natskit.ProbeService(w.nc, service)(ctx) != nil {
				return false
			}
		}
		return a.health.Serving(ctx)
	})
	work("r2")
}

// A bucket that somebody deletes is made again within the operation that finds it missing.
func TestABucketThatIsDeletedIsMadeAgainUnnoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	client := testkit.OpenEvents(t, a.public, token, nil).ClientID(t)
	w.ticket(a.public, token)
	w.expect("r1", client)
	for _, bucket := range []string{"gateway_tickets", "gateway_clients", "gateway_routes"} {
		if err := w.js.DeleteKeyValue(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	w.ticket(a.public, token)
	client = testkit.OpenEvents(t, a.public, token, nil).ClientID(t)
	w.expect("r2", client)
	w.bind("r2", execution)
}
