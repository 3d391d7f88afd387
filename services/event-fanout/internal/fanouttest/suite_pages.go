package fanouttest

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// runRequestPages checks [fanout.RequestPages]: each request is shown once, as it is stored.
func runRequestPages(t *testing.T, s fanout.RequestStore) {
	t.Helper()
	if page, next, err := s.Page(t.Context(), "", 10); err != nil || len(page) != 0 || next != "" {
		t.Fatalf("an empty store: %v %q %v", page, next, err)
	}
	want := map[string]fanout.Request{}
	for i := range 23 {
		r := fanout.Request{
			ID: "r-" + strconv.Itoa(100+i), ClientID: "c", SessionKey: "k", Owner: "id:7", TraceID: "t",
			PlaybookPath: "p", CreatedAt: time.Unix(int64(i), 0).UTC(),
		}
		testkit.Must(t, s.Add(t.Context(), r))
		want[r.ID] = r
	}
	gone := "r-105"
	testkit.Must(t, s.Remove(t.Context(), gone))
	delete(want, gone)
	for _, limit := range []int{1, 7, 1000} {
		got, cursor := map[string]fanout.Request{}, ""
		for range 100 {
			page, next, err := s.Page(t.Context(), cursor, limit)
			if testkit.Must(t, err); len(page) > limit {
				t.Fatalf("%d requests in a page of %d", len(page), limit)
			}
			for _, r := range page {
				if _, twice := got[r.ID]; twice {
					t.Errorf("%s is shown twice", r.ID)
				}
				r.Revision, r.StoredAt = 0, time.Time{}
				got[r.ID] = r
			}
			if cursor = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d: %s", limit, diff)
		}
	}
	// A page goes on after any request that one held.
	page, _, err := s.Page(t.Context(), "", 10)
	testkit.Must(t, err)
	rest, _, err := s.Page(t.Context(), s.After(page[3]), 10)
	if testkit.Must(t, err); len(rest) == 0 || rest[0].ID != page[4].ID {
		t.Errorf("after %s comes %v", page[3].ID, rest)
	}
	for _, n := range []int{3, 1000} {
		cursor, err := s.Newest(t.Context(), n)
		testkit.Must(t, err)
		newest, next, err := s.Page(t.Context(), cursor, 1000)
		testkit.Must(t, err)
		if len(newest) == 0 || len(newest) > n || next != "" || newest[len(newest)-1].ID != "r-122" ||
			n == 1000 && len(newest) != len(want) {
			t.Errorf("the newest %d are %d: %v", n, len(newest), newest)
		}
	}
	_, _, err = s.Page(t.Context(), "x", 10)
	if f := fault.Of(err); f == nil || f.Kind != fault.Invalid || f.Code != "bad_cursor" {
		t.Errorf("a bad cursor: %v", err)
	}
}
