package fanouttest

import (
	"context"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// RunRequestLists is the conformance suite of [fanout.RequestLists].
func RunRequestLists(t *testing.T, newLists func(*testing.T) fanout.RequestLists) {
	t.Helper()
	mine := fanout.List{Kind: fanout.ListOfOwner, Name: "email:a.*@example.com"} // no key of NATS as it is
	others := []fanout.List{
		{Kind: fanout.ListOfOwner, Name: "email:b@example.com"}, {Kind: fanout.ListOfSession, Name: mine.Name},
	}
	add := func(t *testing.T, x fanout.RequestLists, l fanout.List, ids ...string) {
		t.Helper()
		for _, id := range ids {
			testkit.Must(t, x.Add(t.Context(), l, fanout.ListedRequest{RequestID: id, Task: id[0] == 't'}))
		}
	}
	// says checks what a list holds, and that its count and revisions agree with it.
	says := func(t *testing.T, x fanout.RequestLists, l fanout.List, want ...string) {
		t.Helper()
		all, err := x.All(t.Context(), l)
		testkit.Must(t, err)
		var got []string
		for i, r := range all {
			got = append(got, r.RequestID)
			if r.Revision == 0 || i > 0 && r.Revision >= all[i-1].Revision {
				t.Errorf("revisions are not in order: %+v", all)
			}
			if r.Task != (r.RequestID[0] == 't') {
				t.Errorf("%+v", r)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", l, diff)
		}
		if n, err := x.Count(t.Context(), l); n != len(want) || err != nil {
			t.Errorf("%v has %d, %v", l, n, err)
		}
	}
	t.Run("each list is its own, newest first", func(t *testing.T) {
		t.Parallel()
		x := newLists(t)
		says(t, x, mine)
		add(t, x, mine, "r1", "t2", "r3")
		for _, l := range others {
			add(t, x, l, "t1", "t4")
		}
		says(t, x, mine, "r3", "t2", "r1")
		add(t, x, mine, "r1") // a repeated registration
		says(t, x, mine, "r1", "r3", "t2")
		testkit.Must(t, x.Delete(t.Context(), mine, "r3"))
		testkit.Must(t, x.Delete(t.Context(), mine, "r3"))
		says(t, x, mine, "r1", "t2")
		for _, l := range others {
			says(t, x, l, "t4", "t1")
		}
	})
	t.Run("only the newest are left", func(t *testing.T) {
		t.Parallel()
		x := newLists(t)
		add(t, x, mine, "r1", "t2", "r3", "t4")
		add(t, x, others[0], "r1")
		testkit.Must(t, x.Trim(t.Context(), mine, 5))
		says(t, x, mine, "t4", "r3", "t2", "r1")
		testkit.Must(t, x.Trim(t.Context(), mine, 2))
		says(t, x, mine, "t4", "r3")
		says(t, x, others[0], "r1")
	})
	t.Run("more than one answer holds are all there", func(t *testing.T) {
		t.Parallel()
		x := newLists(t)
		const many = 1100
		want := make([]string, many)
		for i := range many {
			want[many-1-i] = "r" + strconv.Itoa(i)
			add(t, x, mine, want[many-1-i])
		}
		says(t, x, mine, want...)
		testkit.Must(t, x.Trim(t.Context(), mine, 3))
		says(t, x, mine, want[:3]...)
	})
	t.Run("an answer that does not come is no empty one", func(t *testing.T) {
		t.Parallel()
		x := newLists(t)
		add(t, x, mine, "r1")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if all, err := x.All(ctx, mine); err == nil && len(all) == 0 {
			t.Error("the list was lost")
		}
		if n, err := x.Count(ctx, mine); err == nil && n == 0 {
			t.Error("the count was lost")
		}
	})
}
