package fanouttest

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
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
	put := func(t *testing.T, x fanout.RouteIndex, execution string, r fanout.Route) fanout.Route {
		t.Helper()
		r, err := x.Put(t.Context(), execution, r)
		testkit.Must(t, err)
		return r
	}
	t.Run("routes are found by execution, and an existing one is kept", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		put(t, x, "1", fanout.Route{RequestID: "r", ClientID: "c", Through: 5})
		if same := put(t, x, "1", fanout.Route{RequestID: "r", ClientID: "c", Through: 1}); same != one(t, x, "1") {
			t.Fatalf("%+v", same)
		}
		put(t, x, "11", fanout.Route{RequestID: "r", ClientID: "d"})
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
		put(t, x, "1", fanout.Route{RequestID: "r", ClientID: "c"})
		stale := one(t, x, "1")
		fresh := stale
		fresh.Through = 9
		testkit.Must(t, x.Advance(t.Context(), "1", fresh))
		stale.Through = 3
		testkit.Must(t, x.Advance(t.Context(), "1", stale))
		if r := one(t, x, "1"); r.Through != 9 {
			t.Fatalf("%+v", r)
		}
		now := one(t, x, "1")
		testkit.Must(t, x.Delete(t.Context(), "1", "r"))
		testkit.Must(t, x.Delete(t.Context(), "1", "r"))
		testkit.Must(t, x.Advance(t.Context(), "1", now))
		if routes, err := x.ByExecution(t.Context(), "1"); len(routes) != 0 || err != nil {
			t.Fatal(routes, err)
		}
	})
	t.Run("all routes move and go in one write, but for those that came meanwhile", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		put(t, x, "1", fanout.Route{RequestID: "a", ClientID: "c"})
		put(t, x, "1", fanout.Route{RequestID: "b", ClientID: "d", Through: 2})
		put(t, x, "2", fanout.Route{RequestID: "other", ClientID: "c"})
		read, err := x.ByExecution(t.Context(), "1")
		testkit.Must(t, err)
		put(t, x, "1", fanout.Route{RequestID: "late", ClientID: "c", Through: 1})
		testkit.Must(t, x.AdvanceAll(t.Context(), "1", read, 7))
		want := map[string]uint64{"a": 7, "b": 7, "late": 1}
		routes, err := x.ByExecution(t.Context(), "1")
		testkit.Must(t, err)
		for _, r := range routes {
			same, found, err := x.Get(t.Context(), "1", r.RequestID)
			if r.Through != want[r.RequestID] || same != r || !found || err != nil {
				t.Errorf("%+v %+v %v", r, same, err)
			}
		}
		testkit.Must(t, x.DeleteAll(t.Context(), "1", slices.DeleteFunc(routes, func(r fanout.Route) bool {
			return r.RequestID == "late"
		})))
		if r := one(t, x, "1"); r.RequestID != "late" {
			t.Fatalf("%+v", r)
		}
		one(t, x, "2")
	})
	t.Run("an answer that does not come is no empty one", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		put(t, x, "1", fanout.Route{RequestID: "r", ClientID: "c"})
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
	list := func(t *testing.T, x fanout.PendingIndex, client string) []string {
		t.Helper()
		entries, err := x.List(t.Context(), client)
		testkit.Must(t, err)
		var ids []string
		for _, e := range entries {
			ids = append(ids, e.RequestID)
		}
		return ids
	}
	t.Run("requests are listed by client, oldest first", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		for _, id := range []string{"z", "a", "m"} {
			testkit.Must(t, x.Add(t.Context(), "c", id))
			testkit.Must(t, x.Add(t.Context(), "d", id+id))
		}
		testkit.Must(t, x.Delete(t.Context(), "c", "a"))
		testkit.Must(t, x.Delete(t.Context(), "c", "a"))
		if got := list(t, x, "c"); !slices.Equal(got, []string{"z", "m"}) {
			t.Fatal(got)
		}
	})
	t.Run("the oldest go in one write", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		for _, id := range []string{"z", "a", "m"} {
			testkit.Must(t, x.Add(t.Context(), "c", id))
			testkit.Must(t, x.Add(t.Context(), "d", id))
		}
		entries, err := x.List(t.Context(), "c")
		testkit.Must(t, err)
		testkit.Must(t, x.DeleteThrough(t.Context(), "c", entries[1].Revision))
		if got, others := list(t, x, "c"), list(t, x, "d"); !slices.Equal(got, []string{"m"}) || len(others) != 3 {
			t.Fatal(got, others)
		}
	})
	t.Run("more than a thousand, ended or not, do not lock the client out", func(t *testing.T) {
		t.Parallel()
		x := newIndex(t)
		for i := range 1100 {
			testkit.Must(t, x.Add(t.Context(), "c", "r"+strconv.Itoa(i)))
		}
		if got := list(t, x, "c"); len(got) != 1100 || got[0] != "r0" || got[1099] != "r1099" {
			t.Fatal(len(got))
		}
		for i := range 1100 {
			testkit.Must(t, x.Delete(t.Context(), "c", "r"+strconv.Itoa(i)))
		}
		testkit.Must(t, x.Add(t.Context(), "c", "last"))
		if got := list(t, x, "c"); !slices.Equal(got, []string{"last"}) {
			t.Fatal(got)
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
