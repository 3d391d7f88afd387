package eventfeed_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/eventfeed"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// store is an event store with a feed, which answers as NoETL's does: 200 whatever is asked for, records
// after the cursor, and silence.
type store struct {
	mu      sync.Mutex
	first   uint64 // the oldest that is kept
	records []string
	changed chan struct{}
	asked   []string
	status  int
	server  *httptest.Server
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{first: 1, changed: make(chan struct{}), status: http.StatusOK}
	s.server = httptest.NewServer(s)
	t.Cleanup(func() { s.server.CloseClientConnections(); s.server.Close() })
	return s
}

func (s *store) address() string { return strings.TrimPrefix(s.server.URL, "http://") }

// put adds a record; payload is the event.
func (s *store) put(payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := s.first + uint64(len(s.records))
	s.records = append(
		s.records,
		fmt.Sprintf(`{"global_sequence":%d,"execution_id":"5","transaction_id":"","payload":%s}`, seq, payload),
	)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *store) step(name string) {
	s.put(strconv.Quote(`{"event_type":"step.exit","execution_id":582940187123449857,"step":"` + name + `"}`))
}

// lose replaces the log by an empty one, or drops what is before a sequence.
func (s *store) lose(before uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before == 0 {
		s.first, s.records = 1, nil
		return
	}
	s.records = s.records[before-s.first:]
	s.first = before
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cursor, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.RequestURI()+" "+r.Header.Get("Last-Event-ID"))
	status := s.status
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(status)
	out := http.NewResponseController(w)
	for {
		_ = out.Flush()
		s.mu.Lock()
		var frames strings.Builder
		for i, rec := range s.records {
			if seq := s.first + uint64(i); seq > cursor {
				fmt.Fprintf(&frames, ": here\nid: %d\ndata: %s\n\n", seq, rec)
				cursor = seq
			}
		}
		changed := s.changed
		s.mu.Unlock()
		if frames.Len() > 0 {
			if _, err := w.Write([]byte(frames.String())); err != nil {
				return
			}
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

func types() []string { return fanout.Wanted([]string{"step.exit"}) }

// reader runs a source as an intake does.
type reader struct {
	mu     sync.Mutex
	cursor fanout.Cursor
	got    []string
	again  []string // of these, what may have come before
	state  fanout.SourceState
	errs   []error
	refuse error
	// largest is the largest batch that came, in bytes.
	largest int
}

func (r *reader) run(t *testing.T, source *eventfeed.Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			r.mu.Lock()
			cursor := fanout.Cursor{"feed": r.cursor["feed"]}
			r.mu.Unlock()
			err := source.Read(ctx, cursor, func(s fanout.SourceState) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.state = s
			}, r.take)
			r.mu.Lock()
			r.errs = append(r.errs, err)
			r.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func (r *reader) take(_ context.Context, b fanout.SourceBatch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	bytes := 0
	for _, e := range b.Events {
		bytes += len(e.Payload)
		s, _, err := fanout.ParseState(e.Payload, e.ExecutionID)
		if err == nil {
			r.got = append(r.got, s.StepName)
			if e.Again {
				r.again = append(r.again, s.StepName)
			}
		}
	}
	r.largest = max(r.largest, bytes)
	if r.cursor == nil {
		r.cursor = fanout.Cursor{}
	}
	r.cursor[b.Part] = b.Position
	return nil
}

// has waits for exactly these steps.
func (r *reader) has(t *testing.T, want ...string) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprint("steps ", want), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Equal(r.got, want)
	})
}

func TestEventsAreReadAndResumed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.step("a")
	s.put(`{"event_type":"step.exit","execution_id":"5","step":"object"}`)
	s.put(`5`)
	s.put(`"no JSON"`)
	r := &reader{}
	source := eventfeed.New(s.address(), 3, types())
	stop := r.run(t, source)
	s.step("b")
	r.has(t, "a", "object", "b")
	r.mu.Lock()
	if r.state.Reading != "event feed of shard 3" || r.cursor["feed"] != "5" {
		t.Errorf("%+v %v", r.state, r.cursor)
	}
	r.mu.Unlock()
	stop()
	s.step("c") // while nobody reads
	r.run(t, source)
	s.step("d")
	r.has(t, "a", "object", "b", "c", "d")
	s.server.CloseClientConnections()
	s.step("e")
	r.has(t, "a", "object", "b", "c", "d", "e")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[0] != "/feed?cursor=0&shard=3 0" || s.asked[1] != "/feed?cursor=4&shard=3 4" {
		t.Errorf("asked %v", s.asked)
	}
}

// A log that dropped its beginning goes on with what it has.
func TestALogThatWasTrimmed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, step := range []string{"a", "b", "c"} {
		s.step(step)
	}
	r := &reader{}
	stop := r.run(t, eventfeed.New(s.address(), 0, types()))
	r.has(t, "a", "b", "c")
	stop()
	s.step("d")
	s.step("e")
	s.lose(5)
	r.run(t, eventfeed.New(s.address(), 0, types()))
	r.has(t, "a", "b", "c", "e")
}

func TestAnEventThatIsTooLargeIsSkipped(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put(`"` + strings.Repeat("x", 17<<20) + `"`)
	s.step("after")
	r := &reader{}
	r.run(t, eventfeed.New(s.address(), 0, types()))
	r.has(t, "after")
}

// Memory is bounded by bytes, and what nobody wants takes none of it: payloads hold whole results.
func TestLargeEventsComeInSmallBatches(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	pad := strings.Repeat("x", 1<<20)
	var want []string
	for i := range 10 {
		step := strconv.Itoa(i)
		want = append(want, step)
		s.put(`{"event_type":"step.exit","execution_id":"5","step":"` + step + `","result":"` + pad + `"}`)
		s.put(`{"event_type":"command.issued","execution_id":"5","step":"unwanted"}`)
	}
	r := &reader{}
	r.run(t, eventfeed.New(s.address(), 0, types()))
	r.has(t, want...)
	testkit.Eventually(t, "the place of what is not wanted is kept", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.cursor["feed"] == "20"
	})
	if r.largest > 9<<20+1000 {
		t.Errorf("a batch has %d bytes", r.largest)
	}
}

func TestARefusalIsAnErrorAndNothingIsSkipped(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.status = http.StatusServiceUnavailable
	s.step("a")
	r := &reader{refuse: errors.New("the log is down")}
	r.run(t, eventfeed.New(s.address(), 0, types()))
	testkit.Eventually(t, "a refused feed is an error", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.errs) > 1 && r.errs[0] != nil && strings.Contains(r.errs[0].Error(), "503")
	})
	s.mu.Lock()
	s.status = http.StatusOK
	s.mu.Unlock()
	testkit.Eventually(t, "a log that is down is an error", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return errors.Is(r.errs[len(r.errs)-1], r.refuse)
	})
	r.mu.Lock()
	r.refuse = nil
	r.mu.Unlock()
	r.has(t, "a")
}

func TestAFeedCannotTellHowFarItIs(t *testing.T) {
	t.Parallel()
	if err := eventfeed.New("127.0.0.1:1", 0, types()).Settle(t.Context()); !errors.Is(err, fanout.ErrCannotTell()) {
		t.Error(err)
	}
}
