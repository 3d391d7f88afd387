package fanouttest

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// RunRouteIndex is the conformance suite of [fanout.RouteIndex].
func RunRouteIndex(t *testing.T, newIndex func(*testing.T) fanout.RouteIndex) {
	t.Helper()
	one := func(t *testing.T, x fanout.RouteIndex, execution string) fanout.Route {
		t.Helper()
		routes, err := x.ByExecution(t.Context(), execution)
		if err != nil || len(routes) != 1 {
			t.Fatalf("%+v %v", routes, err)
		}
		return routes[0]
	}
	t.Run("routes are found by execution, and an existing one is kept", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		must(t, x.Put(t.Context(), "1", fanout.Route{RequestID: "r", ClientID: "c", Through: 5}))
		must(t, x.Put(t.Context(), "1", fanout.Route{RequestID: "r", ClientID: "c", Through: 1}))
		must(t, x.Put(t.Context(), "11", fanout.Route{RequestID: "r", ClientID: "d"}))
		r := one(t, x, "1")
		if r.RequestID != "r" || r.ClientID != "c" || r.Through != 5 {
			t.Fatalf("%+v", r)
		}
		if same, found, err := x.Get(t.Context(), "1", "r"); same != r || !found || err != nil {
			t.Fatalf("%+v %t %v, not %+v", same, found, err, r)
		}
		if _, found, err := x.Get(t.Context(), "1", "other"); found || err != nil {
			t.Fatal(found, err)
		}
		if routes, err := x.ByExecution(t.Context(), "none"); len(routes) != 0 || err != nil {
			t.Fatal(routes, err)
		}
	})
	t.Run("advance does nothing to what was changed or deleted meanwhile", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		must(t, x.Put(t.Context(), "1", fanout.Route{RequestID: "r", ClientID: "c"}))
		stale := one(t, x, "1")
		fresh := stale
		fresh.Through = 9
		must(t, x.Advance(t.Context(), "1", fresh))
		stale.Through = 3
		must(t, x.Advance(t.Context(), "1", stale))
		if r := one(t, x, "1"); r.Through != 9 {
			t.Fatalf("%+v", r)
		}
		now := one(t, x, "1")
		must(t, x.Delete(t.Context(), "1", "r"))
		must(t, x.Delete(t.Context(), "1", "r"))
		must(t, x.Advance(t.Context(), "1", now))
		if routes, err := x.ByExecution(t.Context(), "1"); len(routes) != 0 || err != nil {
			t.Fatal(routes, err)
		}
	})
	t.Run("an answer that does not come is no empty one", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		must(t, x.Put(t.Context(), "1", fanout.Route{RequestID: "r", ClientID: "c"}))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if routes, err := x.ByExecution(ctx, "1"); err == nil && len(routes) == 0 {
			t.Fatal("the route was lost")
		}
	})
}

// RunPendingIndex is the conformance suite of [fanout.PendingIndex].
func RunPendingIndex(t *testing.T, newIndex func(*testing.T) fanout.PendingIndex) {
	t.Helper()
	t.Run("requests are listed by client, oldest first", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		for _, id := range []string{"z", "a", "m"} {
			must(t, x.Add(t.Context(), "c", id))
			must(t, x.Add(t.Context(), "d", id+id))
		}
		must(t, x.Delete(t.Context(), "c", "a"))
		must(t, x.Delete(t.Context(), "c", "a"))
		if got, err := x.List(t.Context(), "c"); err != nil || !slices.Equal(got, []string{"z", "m"}) {
			t.Fatal(got, err)
		}
	})
	t.Run("more than a thousand, ended or not, do not lock the client out", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		for i := range 1100 {
			must(t, x.Add(t.Context(), "c", "r"+strconv.Itoa(i)))
		}
		if got, err := x.List(t.Context(), "c"); err != nil || len(got) != 1100 || got[0] != "r0" ||
			got[1099] != "r1099" {
			t.Fatal(len(got), err)
		}
		for i := range 1100 {
			must(t, x.Delete(t.Context(), "c", "r"+strconv.Itoa(i)))
		}
		must(t, x.Add(t.Context(), "c", "last"))
		if got, err := x.List(t.Context(), "c"); err != nil || !slices.Equal(got, []string{"last"}) {
			t.Fatal(got, err)
		}
	})
}

// RunCallbackRelay is the conformance suite of [fanout.CallbackRelay]. wait makes somebody
// wait for a request.
func RunCallbackRelay(
	t *testing.T,
	newRelay func(*testing.T) (relay fanout.CallbackRelay, wait func(id string, take func([]byte))),
) {
	t.Helper()
	t.Run("it reaches who waits, and only says so then", func(t *testing.T) {
		t.Parallel()
		relay, wait := newRelay(t)
		if delivered, err := relay.Deliver(t.Context(), "r", []byte("x")); delivered || err != nil {
			t.Fatal(delivered, err)
		}
		got := make(chan string, 1)
		wait("r", func(b []byte) { got <- string(b) })
		if delivered, err := relay.Deliver(t.Context(), "r", []byte(`{"a":1}`)); !delivered || err != nil ||
			<-got != `{"a":1}` {
			t.Fatal(delivered, err)
		}
	})
}
