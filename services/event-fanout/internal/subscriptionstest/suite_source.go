// Package subscriptionstest holds the conformance suites of the ports of subscriptions.
package subscriptionstest

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// SourceHarness is a source with what the suite needs to change its documents. Paths are those of collections.
type SourceHarness struct {
	Source subscriptions.WatchSource
	Put    func(t *testing.T, path, doc, data string)
	Delete func(t *testing.T, path, doc string)
	// Interrupt breaks what the source watches through, such as its process or its connection. It comes back by itself.
	Interrupt func(t *testing.T)
}

// RunWatchSource is the conformance suite of [subscriptions.WatchSource].
func RunWatchSource(t *testing.T, newSource func(*testing.T) SourceHarness) {
	t.Helper()
	t.Run("the documents come first, then Ready, then changes, in order", func(t *testing.T) {
		t.Parallel()
		h := newSource(t)
		const path = "threads/order/events"
		h.Put(t, path, "a", `{"n":1}`)
		h.Put(t, path, "b", `{"n":1}`)
		w := watch(t, h.Source, path)
		w.ready()
		if diff := cmp.Diff(map[string]string{"a": `{"n":1}`, "b": `{"n":1}`}, w.documents()); diff != "" {
			t.Fatalf("the first documents (-want +got):\n%s", diff)
		}
		h.Put(t, path, "a", `{"n":2}`)
		w.wait("the change", func() bool { return w.documents()["a"] == `{"n":2}` })
		h.Delete(t, path, "a")
		w.wait("the removal", func() bool { return w.documents()["a"] == "" })
		h.Put(t, path, "a", `{"n":3}`)
		w.wait("the new document", func() bool { return w.documents()["a"] == `{"n":3}` })
		want := []string{`{"n":1}`, `{"n":2}`, "removed", `{"n":3}`}
		if diff := cmp.Diff(want, w.history("a")); diff != "" {
			t.Errorf("what was told about a (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{`{"n":1}`}, w.history("b")); diff != "" {
			t.Errorf("what was told about b (-want +got):\n%s", diff)
		}
		if n := w.readies(); n != 1 {
			t.Errorf("Ready was told %d times", n)
		}
		w.end()
	})
	t.Run("a collection without documents is Ready, and tells the first", func(t *testing.T) {
		t.Parallel()
		h := newSource(t)
		const path = "threads/empty/events"
		w := watch(t, h.Source, path)
		w.ready()
		if got := w.documents(); len(got) > 0 {
			t.Fatalf("documents: %v", got)
		}
		h.Put(t, path, "first", `{"n":1}`)
		w.wait("the first document", func() bool { return w.documents()["first"] == `{"n":1}` })
		w.end()
	})
	t.Run("a watch tells about its path only", func(t *testing.T) {
		t.Parallel()
		h := newSource(t)
		w := watch(t, h.Source, "threads/mine/events")
		w.ready()
		h.Put(t, "threads/other/events", "x", `{"n":1}`)
		h.Put(t, "threads/mine/events/e/notes", "x", `{"n":1}`)
		h.Put(t, "threads/mine/events", "last", `{"n":1}`)
		w.wait("the document", func() bool { return w.documents()["last"] != "" })
		if diff := cmp.Diff(map[string]string{"last": `{"n":1}`}, w.documents()); diff != "" {
			t.Errorf("documents (-want +got):\n%s", diff)
		}
		w.end()
	})
	t.Run("watches of one path do not disturb each other", func(t *testing.T) {
		t.Parallel()
		h := newSource(t)
		const path = "threads/both/events"
		h.Put(t, path, "a", `{"n":1}`)
		first, second := watch(t, h.Source, path), watch(t, h.Source, path)
		first.ready()
		second.ready()
		first.end()
		h.Put(t, path, "a", `{"n":2}`)
		second.wait("the change", func() bool { return second.documents()["a"] == `{"n":2}` })
		if got := first.documents()["a"]; got != `{"n":1}` {
			t.Errorf("an ended watch was told %s", got)
		}
		second.end()
	})
	t.Run("versions tell two states apart", func(t *testing.T) {
		t.Parallel()
		h := newSource(t)
		const path = "threads/versions/events"
		h.Put(t, path, "a", `{"n":1}`)
		first := watch(t, h.Source, path)
		first.ready()
		before := first.version("a")
		second := watch(t, h.Source, path)
		second.ready()
		if again := second.version("a"); again != before {
			t.Errorf("one state has the versions %q and %q", before, again)
		}
		h.Put(t, path, "a", `{"n":2}`)
		first.wait("the change", func() bool { return first.documents()["a"] == `{"n":2}` })
		if after := first.version("a"); before != "" && after == before {
			t.Errorf("two states have the version %q", after)
		}
		first.end()
		second.end()
	})
	t.Run("a path that cannot be is Invalid", func(t *testing.T) {
		t.Parallel()
		h := newSource(t)
		for _, path := range []string{
			"", "/threads/a/events", "threads/a/events/", "threads//events", "a\x00b", "a/../b",
		} {
			if err := h.Source.CheckPath(path); !testkit.IsKind(err, fault.Invalid) {
				t.Errorf("CheckPath(%q) = %v", path, err)
			}
			err := h.Source.Watch(t.Context(), path, func(c subscriptions.Change) { t.Errorf("%q told %v", path, c) })
			if !testkit.IsKind(err, fault.Invalid) {
				t.Errorf("Watch(%q) = %v", path, err)
			}
		}
		if err := h.Source.CheckPath("threads/a/events"); err != nil {
			t.Error(err)
		}
	})
	t.Run("an interruption that may lose changes ends the watch, and the next one is whole", func(t *testing.T) {
		t.Parallel()
		h := newSource(t)
		const path = "threads/interrupted/events"
		h.Put(t, path, "a", `{"n":1}`)
		h.Put(t, path, "b", `{"n":1}`)
		w := watch(t, h.Source, path)
		w.ready()
		h.Interrupt(t)
		h.Delete(t, path, "a")
		h.Put(t, path, "b", `{"n":2}`)
		// A source that loses nothing goes on instead.
		w.wait("the end, or the changes", func() bool {
			return w.ended() || w.documents()["a"] == "" && w.documents()["b"] == `{"n":2}`
		})
		if w.ended() {
			if err := w.err; err == nil || !fault.IsOutage(err) {
				t.Fatalf("the watch ended with %v, which is no outage", err)
			}
		} else {
			w.end()
		}
		next := watchAgain(t, h.Source, path)
		if diff := cmp.Diff(map[string]string{"b": `{"n":2}`}, next.documents()); diff != "" {
			t.Errorf("after the interruption (-want +got):\n%s", diff)
		}
		next.end()
	})
}

// watching is one watch and what it told.
type watching struct {
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}
	err  error

	mu   sync.Mutex
	told []subscriptions.Change
}

func watch(t *testing.T, source subscriptions.WatchSource, path string) *watching {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watching{t: t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = source.Watch(ctx, path, w.emit)
	}()
	t.Cleanup(func() {
		stop()
		<-w.done
	})
	return w
}

// watchAgain watches until a watch is ready, as a caller does that meets outages.
func watchAgain(t *testing.T, source subscriptions.WatchSource, path string) *watching {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		w := watch(t, source, path)
		testkit.Eventually(t, "Ready or an outage", func() bool { return w.readies() > 0 || w.ended() })
		if !w.ended() {
			return w
		}
		if !fault.IsOutage(w.err) || time.Now().After(deadline) {
			t.Fatal(w.err)
		}
	}
}

func (w *watching) emit(c subscriptions.Change) {
	if c.Op == subscriptions.Put && !json.Valid(c.Data) {
		w.t.Errorf("invalid JSON: %q", c.Data)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, c)
}

// wait waits for a condition and stops when the watch ends.
func (w *watching) wait(what string, condition func() bool) {
	w.t.Helper()
	testkit.Eventually(w.t, what, func() bool { return condition() || w.ended() })
	if !condition() {
		w.t.Fatalf("the watch ended with %v before: %s", w.err, what)
	}
}

func (w *watching) ready() {
	w.t.Helper()
	w.wait("Ready", func() bool { return w.readies() > 0 })
}

func (w *watching) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// end ends the watch, which returns nil.
func (w *watching) end() {
	w.t.Helper()
	w.stop()
	select {
	case <-w.done:
	case <-time.After(10 * time.Second):
		w.t.Fatal("the watch did not end with its context")
	}
	if w.err != nil {
		w.t.Fatalf("the watch ended with %v", w.err)
	}
}

func (w *watching) each(f func(subscriptions.Change)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.told {
		f(c)
	}
}

func (w *watching) readies() (n int) {
	w.each(func(c subscriptions.Change) {
		if c.Op == subscriptions.Ready {
			n++
		}
	})
	return n
}

// documents returns what a client that applied every change has.
func (w *watching) documents() map[string]string {
	out := map[string]string{}
	w.each(func(c subscriptions.Change) {
		switch c.Op {
		case subscriptions.Put:
			out[c.DocID] = compact(c.Data)
		case subscriptions.Remove:
			delete(out, c.DocID)
		case subscriptions.Ready:
		}
	})
	return out
}

func (w *watching) history(doc string) (out []string) {
	w.each(func(c subscriptions.Change) {
		switch {
		case c.DocID != doc:
		case c.Op == subscriptions.Put:
			out = append(out, compact(c.Data))
		case c.Op == subscriptions.Remove:
			out = append(out, "removed")
		}
	})
	return out
}

func (w *watching) version(doc string) (version string) {
	w.each(func(c subscriptions.Change) {
		if c.Op == subscriptions.Put && c.DocID == doc {
			version = c.Version
		}
	})
	return version
}

// compact leaves out the spaces that a source may write.
func compact(data json.RawMessage) string {
	return strings.NewReplacer(" ", "", "\n", "").Replace(string(data))
}
