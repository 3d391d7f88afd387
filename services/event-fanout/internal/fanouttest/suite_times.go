package fanouttest

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// runFrameTimes checks when frames say that they were stored, and [fanout.FrameLog].Before.
func runFrameTimes(t *testing.T, l fanout.FrameLog) {
	t.Helper()
	if seq, err := l.Before(t.Context(), "a", time.Now()); seq != 0 || err != nil {
		t.Fatalf("before nothing: %d %v", seq, err)
	}
	began := time.Now().Add(-time.Second)
	for _, id := range []string{"1", "2", "3"} {
		put(t, l, "a", id)
		put(t, l, "b", "x"+id)
	}
	got, _, err := l.Since(t.Context(), "a", 0, 10)
	testkit.Must(t, err)
	for i, f := range got {
		if f.At.Before(began) || f.At.After(time.Now().Add(time.Second)) || i > 0 && f.At.Before(got[i-1].At) {
			t.Errorf("the frame %d was stored at %v", i, f.At)
		}
		seq, err := l.Before(t.Context(), "a", f.At)
		testkit.Must(t, err)
		rest, _, err := l.Since(t.Context(), "a", seq, 10)
		if testkit.Must(t, err); len(rest) < 3-i || rest[len(rest)-(3-i)].Seq != f.Seq {
			t.Errorf("from the time of the frame %d on: %s", i, bodies(rest))
		}
	}
	seq, err := l.Before(t.Context(), "a", time.Now().Add(time.Minute))
	testkit.Must(t, err)
	put(t, l, "a", "4")
	if rest, _, err := l.Since(t.Context(), "a", seq, 10); err != nil || bodies(rest) != `["4"]` {
		t.Errorf("what comes after the newest: %s %v", bodies(rest), err)
	}
	all, err := l.Before(t.Context(), "a", began.Add(-time.Hour))
	testkit.Must(t, err)
	if rest, _, err := l.Since(t.Context(), "a", all, 10); err != nil || len(rest) != 4 {
		t.Errorf("from long ago on: %s %v", bodies(rest), err)
	}
}
