package eventfeed_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/adapters/eventfeed"
)

// memory is a feed without a network, for tests with a clock of their own.
type memory struct {
	*store
	mu    sync.Mutex
	slow  []time.Duration // what the next answers wait for before their first event
	opens int
	whole bool // answers with everything, whatever was asked for
}

func newMemory() *memory {
	return &memory{store: &store{first: 1, changed: make(chan struct{}), status: http.StatusOK}}
}

func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.opens++
	var wait time.Duration
	if len(m.slow) > 0 {
		wait, m.slow = m.slow[0], m.slow[1:]
	}
	whole := m.whole
	m.mu.Unlock()
	r = r.Clone(r.Context())
	if whole {
		r.Header.Set("Last-Event-ID", "0")
	}
	out, in := io.Pipe()
	stop := context.AfterFunc(r.Context(), func() { _ = in.CloseWithError(r.Context().Err()) })
	go func() {
		defer stop()
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			m.ServeHTTP(pipeWriter{in}, r)
		case <-r.Context().Done():
		}
		_ = in.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: out}, nil
}

// pipeWriter is the ResponseWriter of a pipe.
type pipeWriter struct{ io.Writer }

func (pipeWriter) Header() http.Header { return http.Header{} }
func (pipeWriter) WriteHeader(int)     {}
func (pipeWriter) Flush()              {}

func TestAnIdleFeedTellsNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &reader{}
		m.step("a")
		m.step("b")
		stop := r.run(t, eventfeed.New("x:1", 0, types()).Through(m))
		<-time.After(15 * time.Minute)
		m.step("c")
		<-time.After(15 * time.Minute)
		r.has(t, "a", "b", "c")
		if m.opens < 10 {
			t.Errorf("an idle feed was opened %d times in half an hour", m.opens)
		}
		stop()
	})
}

// A feed whose log was replaced says nothing to a cursor that is ahead of it.
func TestALogThatWasReplacedIsReadFromItsBeginning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &reader{}
		for _, step := range []string{"a", "b", "c"} {
			m.step(step)
		}
		source := eventfeed.New("x:1", 0, types()).Through(m)
		stop := r.run(t, source)
		r.has(t, "a", "b", "c")
		stop()
		m.lose(0)
		m.step("new")
		stop = r.run(t, source)
		<-time.After(2 * time.Minute)
		r.has(t, "a", "b", "c", "new")
		if got, again := r.cursor["feed"], r.again; got != "1/3" || fmt.Sprint(again) != "[new]" {
			t.Errorf("at %s, %v may have come before", got, again)
		}
		for i := range 4 {
			m.step(strconv.Itoa(i))
		}
		<-time.After(time.Minute)
		r.has(t, "a", "b", "c", "new", "0", "1", "2", "3")
		if got, again := r.cursor["feed"], r.again; got != "5" || fmt.Sprint(again) != "[new 0 1]" {
			t.Errorf("at %s, %v may have come before", got, again)
		}
		stop()
	})
}

func TestASlowFeedIsNotTakenForAReplacedOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &reader{}
		m.step("a")
		source := eventfeed.New("x:1", 0, types()).Through(m)
		stop := r.run(t, source)
		r.has(t, "a")
		stop()
		m.slow = []time.Duration{7 * time.Second, 20 * time.Second, 40 * time.Second}
		m.step("b")
		stop = r.run(t, source)
		<-time.After(2 * time.Minute)
		r.has(t, "a", "b")
		stop()
		if len(r.errs) > 2 || len(r.again) > 0 {
			t.Errorf("%v %v", r.errs, r.again)
		}
	})
}

// A server that answers with what was read long ago has another log, or has lost its place.
func TestAnOlderEventMeansThatTheLogWasReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &reader{}
		for _, step := range []string{"a", "b"} {
			m.step(step)
		}
		source := eventfeed.New("x:1", 0, types()).Through(m)
		stop := r.run(t, source)
		r.has(t, "a", "b")
		stop()
		m.whole = true
		stop = r.run(t, source)
		<-time.After(time.Second)
		r.has(t, "a", "b", "a", "b")
		if fmt.Sprint(r.again) != "[a b]" {
			t.Errorf("%v may have come before", r.again)
		}
		stop()
	})
}
