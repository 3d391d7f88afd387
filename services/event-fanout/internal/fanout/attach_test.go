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
	return w.service().Attach(t.Context(), fanout.AttachRequest{
		Session: &authwire.Session{User: authwire.User{UserID: user}, ExpiresAt: time.Now().Add(time.Hour)}, SessionKey: authwire.KeyOf("t"), ClientID: client, LastEventID: last,
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
		"never served":                  {"", nil, 0, ""},
		"by last id":                    {"e1-5", nil, 5, ""},
		"from before the first":         {"e1-0", nil, 0, ""},
		"by what was written":           {"", func(w *world) { w.clients.SavePosition("c", "e1", 7) }, 7, ""},
		"a foreign id counts as none":   {"42", func(w *world) { w.clients.SavePosition("c", "e1", 7) }, 7, ""},
		"the log was reset":             {"e1-5", func(w *world) { w.frames.Reset() }, 0, "reset"},
		"the log lost its end":          {"e1-99", nil, 0, "reset"},
		"frames aged":                   {"e1-3", func(w *world) { w.frames.Age(6) }, 3, "no longer kept"},
		"only seen frames aged":         {"e1-5", func(w *world) { w.frames.Age(6) }, 5, ""},
		"the client had too many":       {"e1-1", func(w *world) { w.frames.Evict("c"); w.frames.Evict("c") }, 1, "no longer kept"},
		"an id of another log's making": {"x-5", nil, 0, "reset"},
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
			if err != nil || a.After != c.after || (c.gap == "") != (a.Gap == nil) || !strings.Contains(string(a.Gap), c.gap) {
				t.Errorf("after %d, gap %s, %v", a.After, a.Gap, err)
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
	if _, err := attach(t, w, 8, a.Client.ID, ""); fault.Of(err) == nil || fault.Of(err).Kind != fault.Denied {
		t.Errorf("another user attached: %v", err)
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
	if n := strings.Count(string(a.Init), "requestId"); err != nil || n != 100 || !strings.Contains(string(a.Init), `"r149"`) {
		t.Errorf("%d listed, %v", n, err)
	}
}

// A browser's EventSource comes again with the URL that it began with.
func TestAStreamIsFoundByWhatItSawLast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user  int64
		last  string
		given func(w *world)
		found bool
	}{
		"its own frame":         {7, "e1-5", nil, true},
		"of somebody else":      {8, "e1-5", nil, false},
		"one that aged":         {7, "e1-5", func(w *world) { w.frames.Age(6) }, false},
		"of a log that is gone": {7, "e1-5", func(w *world) { w.frames.Reset() }, false},
		"one that never was":    {7, "e1-99", nil, false},
		"no frame at all":       {7, "e1-0", nil, false},
		"no id of ours":         {7, "42", nil, false},
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
			a, err := attach(t, w, c.user, "", c.last)
			if saysGap := a.Gap != nil; saysGap != (!c.found && strings.HasPrefix(c.last, "e1-")) {
				t.Errorf("a gap is said: %v", saysGap)
			}
			if err != nil || (a.Client.ID == "c") != c.found || a.Fresh == c.found || (c.found && a.After != 5) {
				t.Errorf("%+v %v, want found %v", a, err, c.found)
			}
		})
	}
}
