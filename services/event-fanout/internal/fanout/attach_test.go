package fanout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

func attach(t *testing.T, w *world, user int64, client, last string) (fanout.Attachment, error) {
	t.Helper()
	return attachAs(t, w, user, client, last, false)
}

// comeBack is what a browser's EventSource does: the URL as before, the id in the header.
func comeBack(t *testing.T, w *world, user int64, client, last string) (fanout.Attachment, error) {
	t.Helper()
	return attachAs(t, w, user, client, last, true)
}

func attachAs(t *testing.T, w *world, user int64, client, last string, returns bool) (fanout.Attachment, error) {
	t.Helper()
	return w.service().Attach(t.Context(), fanout.AttachRequest{
		Session: &authwire.Session{User: authwire.User{UserID: user}, ExpiresAt: time.Now().Add(time.Hour)},
		Token:   authwire.NewToken("t"), ClientID: client, LastEventID: last, Returns: returns,
	})
}

func TestWhereAStreamGoesOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last  string
		given func(w *world)
		after uint64
		gap   string
	}{
		"never served":            {"", nil, 0, ""},
		"by last id":              {"e1-5-c", nil, 5, ""},
		"by an earlier version's": {"e1-5", nil, 5, ""},
		"from before the first":   {"e1-s0-c", nil, 0, ""},
		"from a start":            {"e1-s5-c", nil, 5, ""},
		"by what was written":     {"", func(w *world) { w.clients.SavePosition("c", "e1", 7) }, 7, ""},
		"an id that is none": {
			"42", func(w *world) { w.clients.SavePosition("c", "e1", 7) }, 7, "no event id",
		},
		"zero":                            {"0", nil, 0, "no event id"},
		"garbage":                         {"\xff\x00 ;", nil, 0, "no event id"},
		"a place that another client had": {"e1-5-d", nil, 5, ""},
		"the log was reset":               {"e1-5-c", func(w *world) { w.frames.Reset() }, 0, "reset"},
		"the log lost its end":            {"e1-99-c", nil, 0, "reset"},
		"frames aged":                     {"e1-3-c", func(w *world) { w.frames.Age(6) }, 3, "no longer kept"},
		"frames aged after a start":       {"e1-s3-c", func(w *world) { w.frames.Age(6) }, 3, "no longer kept"},
		"only seen frames aged":           {"e1-5-c", func(w *world) { w.frames.Age(6) }, 5, ""},
		"the client had too many": {"e1-1-c", func(w *world) {
			w.frames.Evict("c")
			w.frames.Evict("c")
		}, 1, "no longer kept"},
		"too many since the start": {"e1-s0-c", func(w *world) { w.frames.Evict("c") }, 0, "no longer kept"},
		"too many and the last aged": {"e1-5-c", func(w *world) {
			w.frames.Age(6)
			w.frames.Evict("c")
		}, 5, "no longer kept"},
		"an id of another log's making": {"x-5-c", nil, 0, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if _, err := attach(t, w, 7, "c", ""); err != nil {
				t.Fatal(err)
			}
			for n := range 10 {
				w.append(t, "c", n)
			}
			if c.given != nil {
				c.given(w)
			}
			a, err := attach(t, w, 7, "c", c.last)
			if err != nil || a.After != c.after || (c.gap == "") != (a.Gap == nil) ||
				!strings.Contains(string(a.Gap), c.gap) {
				t.Errorf("after %d, gap %s, %v", a.After, a.Gap, err)
			}
			// The id of the first frame leads to the same place, and what was said to be gone is not said again.
			again, err := comeBack(t, w, 7, "", a.ID)
			if kept := w.kept(t, "c", a.After); err != nil || again.Client.ID != "c" || again.Fresh ||
				w.kept(t, "c", again.After) != kept {
				t.Errorf("%s led to %+v, %v", a.ID, again, err)
			}
			if again.Gap != nil && !strings.Contains(name, "too many") {
				t.Errorf("%s: %s", a.ID, again.Gap)
			}
		})
	}
}

func TestAClientIDBelongsToItsFirstUser(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a, err := attach(t, w, 7, "", "")
	if err != nil || !a.Fresh {
		t.Fatal(err)
	}
	w.append(t, a.Client.ID, 1)
	for name, bring := range map[string][2]string{
		"the id": {a.Client.ID, ""}, "an event id": {"", "e1-1-" + a.Client.ID}, "the start": {"", a.ID},
		"both": {a.Client.ID, a.ID}, "an event id of an earlier version": {"", "e1-1"},
	} {
		b, err := comeBack(t, w, 8, bring[0], bring[1])
		if err != nil || !b.Fresh || b.Client.ID == a.Client.ID || w.kept(t, b.Client.ID, b.After) != 0 {
			t.Errorf("another user attached with %s: %+v, %v", name, b, err)
		}
		if holder, err := w.clients.Owner(t.Context(), b.Client.ID); err != nil || holder != "id:8" {
			t.Errorf("the fresh client is of %q, %v", holder, err)
		}
		if said := b.Gap != nil; said != (bring[1] != "") {
			t.Errorf("%s: a gap is said: %v", name, said)
		}
	}
	for _, id := range []string{"a.b", "*", ">", strings.Repeat("x", 65), "a b", "é", "a\nb"} {
		if _, err := attach(t, w, 7, id, ""); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%q was taken: %v", id, err)
		}
	}
}

func TestTheFirstFrameListsABoundedNumberOfPendingRequests(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	for i := range 150 {
		w.expect(t, s, fmt.Sprint("r", i), "c", "")
	}
	a, err := attach(t, w, 7, "c", "")
	if n := strings.Count(string(a.Init), "requestId"); err != nil || n != 100 ||
		!strings.Contains(string(a.Init), `"r149"`) {
		t.Errorf("%d listed, %v", n, err)
	}
}

// A browser's EventSource returns with the URL that it began with.
func TestAStreamIsFoundByWhatItSawLast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user  int64
		last  string
		given func(w *world)
		found bool
		gap   bool
	}{
		"its own frame":              {7, "e1-5-c", nil, true, false},
		"its start":                  {7, "e1-s5-c", nil, true, false},
		"the start of an idle one":   {7, "e1-s0-idle", nil, false, false},
		"of an earlier version":      {7, "e1-5", nil, true, false},
		"of somebody else":           {8, "e1-5-c", nil, false, true},
		"somebody's earlier":         {8, "e1-5", nil, false, true},
		"one that aged":              {7, "e1-5-c", func(w *world) { w.frames.Age(8) }, true, true},
		"an earlier that aged":       {7, "e1-5", func(w *world) { w.frames.Age(6) }, false, true},
		"of a log that is gone":      {7, "e1-5-c", func(w *world) { w.frames.Reset() }, true, true},
		"an earlier one's log":       {7, "e1-5", func(w *world) { w.frames.Reset() }, false, true},
		"one that never was":         {7, "e1-99", nil, false, true},
		"no frame at all":            {7, "e1-0", nil, false, true},
		"no id of ours":              {7, "42", nil, false, true},
		"a client that nobody knows": {7, "e1-5-unknown", nil, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if _, err := attach(t, w, 7, "c", ""); err != nil {
				t.Fatal(err)
			}
			for n := range 10 {
				w.append(t, "c", n)
			}
			if c.given != nil {
				c.given(w)
			}
			a, err := comeBack(t, w, c.user, "", c.last)
			if err != nil || (a.Client.ID == "c") != c.found {
				t.Fatalf("%+v %v, want found %v", a, err, c.found)
			}
			if said := a.Gap != nil; said != c.gap {
				t.Errorf("a gap is said: %s", a.Gap)
			}
		})
	}
}

// The page began with a client id that is not its user's, or none; what it was given then counts.
func TestTheEventIDOfAReturnCountsBeforeTheURL(t *testing.T) {
	t.Parallel()
	w := newWorld()
	if _, err := attach(t, w, 8, "theirs", ""); err != nil {
		t.Fatal(err)
	}
	a, err := attach(t, w, 7, "theirs", "")
	if err != nil || !a.Fresh {
		t.Fatal(a, err)
	}
	w.append(t, a.Client.ID, 1)
	b, err := comeBack(t, w, 7, "theirs", a.ID)
	if err != nil || b.Client.ID != a.Client.ID || b.Gap != nil || w.kept(t, b.Client.ID, b.After) != 1 {
		t.Errorf("%+v %v", b, err)
	}
	// Who names both by hand means the client that he names.
	if _, err := attach(t, w, 7, "mine", ""); err != nil {
		t.Fatal(err)
	}
	if c, err := attach(t, w, 7, "mine", a.ID); err != nil || c.Client.ID != "mine" || c.Gap != nil {
		t.Errorf("%+v %v", c, err)
	}
}
