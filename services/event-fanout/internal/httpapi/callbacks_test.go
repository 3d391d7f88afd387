package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
)

// workers is the workers' listener over fakes. One request is pending: r, of user 7's client.
type workers struct {
	frames  *fanouttest.Frames
	results *fanouttest.Results
	set     httpapi.Operations
	url     string
}

const mib = 1 << 20

func newWorkers(t *testing.T, large httpapi.LargeResults, edit func(*httpapi.Operations)) *workers {
	t.Helper()
	return newWorkersOn(t, large, func(r *fanouttest.Results) fanout.ResultStore { return r }, edit)
}

// newWorkersOn has a store of its own kind.
func newWorkersOn(
	t *testing.T,
	large httpapi.LargeResults,
	store func(*fanouttest.Results) fanout.ResultStore,
	edit func(*httpapi.Operations),
) *workers {
	t.Helper()
	tel := telemetry.Nop("test")
	w := &workers{frames: fanouttest.NewFrames(), results: fanouttest.NewResults(64 * mib)}
	clients := fanouttest.NewClients()
	svc := fanout.New(fanout.Deps{
		Frames:    w.frames,
		Feed:      w.frames,
		Clients:   clients,
		Requests:  fanouttest.NewRequests(),
		Routes:    fanouttest.NewRoutes(),
		Pending:   fanouttest.NewPending(),
		Lifecycle: fanouttest.NewLifecycle(),
		Settler:   &fanouttest.Settler{},
		Relay:     fanouttest.NewRelay(),
		Results:   w.results,
		Logger:    tel.Logger,
		Now:       time.Now,
	})
	if _, err := clients.Claim(t.Context(), fanout.Client{ID: "c", Owner: "id:7"}); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Expect(
		t.Context(),
		fanoutwire.ExpectRequest{RequestID: "r", ClientID: "c", Owner: "id:7", PlaybookPath: "p"},
	); err != nil {
		t.Fatal(err)
	}
	w.set = httpapi.Bind(svc, kit.Observer{Logger: tel.Logger})
	if edit != nil {
		edit(&w.set)
	}
	large.Store, large.Message = store(w.results), func() int64 { return mib }
	handler := httpapi.Internal(w.set, large, "", prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(lateWriter{rw}, r)
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	w.url = srv.URL + "/api/internal/callback/async"
	return w
}

func (w *workers) post(ctx context.Context, t *testing.T, body io.Reader) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// callback is a callback of a size in bytes.
func callback(size int) string {
	head, tail := `{"data":"`, `","request_id":"r"}`
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

func TestTheBoundsOfLargeCallbacks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size, status, kept int
		told               string // the client
	}{
		{4 * mib, http.StatusAccepted, 1, `"url":"/api/results/r","bytes":4194304`},
		{4*mib + 1, http.StatusRequestEntityTooLarge, 0, `"code":"result_too_large","bytes":4194305`},
		{6 * mib, http.StatusRequestEntityTooLarge, 0, `"code":"result_too_large","bytes":6291456`},
		{6*mib + 1, http.StatusRequestEntityTooLarge, 0, ""},
	} {
		t.Run(strconv.Itoa(c.size), func(t *testing.T) {
			t.Parallel()
			w := newWorkers(t, httpapi.LargeResults{Max: 4 * mib}.Bounded(6*mib, time.Minute), nil)
			if status, answer := w.post(t.Context(), t, strings.NewReader(callback(c.size))); status != c.status {
				t.Errorf("%d %s", status, answer)
			}
			if names := w.results.Names(); len(names) != c.kept {
				t.Errorf("kept: %v", names)
			}
			told := ""
			for _, f := range w.frames.All("c") {
				told += string(f.Body)
			}
			if !strings.Contains(told, c.told) || (c.told == "") != (told == "") {
				t.Errorf("its client is told %s", told)
			}
		})
	}
}

// A callback that was kept for an operation that then did not begin is forgotten: nobody knows of it.
func TestWhatWasKeptForARefusedCallbackIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorkers(t, httpapi.LargeResults{Max: 8 * mib}, func(set *httpapi.Operations) {
		set.Complete = func(context.Context, fanout.Result) (fanout.Delivery, error) {
			return fanout.Delivery{}, fault.New(fault.RateLimited, "busy", "busy")
		}
	})
	if status, answer := w.post(
		t.Context(), t, strings.NewReader(callback(3*mib)),
	); status != http.StatusTooManyRequests {
		t.Errorf("%d %s", status, answer)
	}
	if names := w.results.Names(); len(names) != 0 {
		t.Errorf("kept: %v", names)
	}
}

// stalled is a body that sends its beginning and then nothing until ctx ends.
func stalled(ctx context.Context) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) }) // else the client waits for it
	go func() { _, _ = io.WriteString(in, callback(3 * mib)[:3*mib-100]) }()
	return out
}

// A worker that stalls gives its place back: large callbacks of others wait for it.
func TestALargeCallbackThatStallsEnds(t *testing.T) {
	t.Parallel()
	w := newWorkers(t, httpapi.LargeResults{Max: 8 * mib}.Bounded(16*mib, 6*time.Second), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			status, answer := w.post(ctx, t, stalled(ctx))
			if status == http.StatusOK || status == http.StatusAccepted {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Error("they held their places until their clients gave up")
	}
	testkit.Eventually(t, "the next one is taken", func() bool { // on a busy machine it may be too slow itself
		status, answer := w.post(t.Context(), t, strings.NewReader(callback(3*mib)))
		if status != http.StatusAccepted && status != http.StatusGatewayTimeout {
			t.Errorf("the next one: %d %s", status, answer)
		}
		return status == http.StatusAccepted
	})
	if names := w.results.Names(); len(names) != 1 {
		t.Errorf("kept: %v", names)
	}
}

// slowStore stores the first callback only after its caller has given up, and the others after a while.
type slowStore struct {
	*fanouttest.Results
	calls atomic.Int32
}

func (s *slowStore) Put(ctx context.Context, body io.Reader) (string, int64, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return "", 0, err
	}
	wait := 150 * time.Millisecond // nothing tells that an interruption does not come
	if s.calls.Add(1) == 1 {
		wait = time.Minute
	}
	select {
	case <-ctx.Done():
		return "", 0, ctx.Err()
	case <-time.After(wait):
		return s.Results.Put(ctx, bytes.NewReader(raw))
	}
}

// lateWriter interrupts a read of its request a while after it is told to, as on a busy machine.
type lateWriter struct{ http.ResponseWriter }

func (w lateWriter) SetReadDeadline(at time.Time) error {
	if at.Before(time.Now()) {
		<-time.After(50 * time.Millisecond)
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(at)
}

func (w lateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A callback that is given up leaves the next one on its connection alone.
func TestACallbackThatIsGivenUpDoesNotEndTheNext(t *testing.T) {
	t.Parallel()
	w := newWorkersOn(t,
		httpapi.LargeResults{Max: 8 * mib}.Bounded(16*mib, 15*time.Second),
		func(r *fanouttest.Results) fanout.ResultStore { return &slowStore{Results: r} }, nil)
	if status, answer := w.post(
		t.Context(), t, strings.NewReader(callback(3*mib)),
	); status != http.StatusGatewayTimeout {
		t.Errorf("the slow one: %d %s", status, answer)
	}
	if status, answer := w.post(t.Context(), t, strings.NewReader(callback(3*mib))); status != http.StatusAccepted {
		t.Errorf("the next one: %d %s", status, answer)
	}
}

// Each one that waits holds what was read of it already, so only a few may.
func TestFewLargeCallbacksWait(t *testing.T) {
	t.Parallel()
	w := newWorkers(t, httpapi.LargeResults{Max: 8 * mib}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { _, _ = w.post(ctx, t, stalled(ctx)) })
	}
	testkit.Eventually(t, "one more is refused", func() bool {
		short, stop := context.WithTimeout(ctx, time.Second) // as long as the others are not there it waits
		defer stop()
		status, answer := w.post(short, t, strings.NewReader(callback(3*mib)))
		return status == http.StatusServiceUnavailable && strings.Contains(answer, "too_many_large_results")
	})
	cancel()
	wg.Wait()
	testkit.Eventually(t, "the others gave their places back", func() bool {
		status, _ := w.post(t.Context(), t, strings.NewReader(callback(3*mib)))
		return status == http.StatusAccepted || status == http.StatusOK // repeated, if it was taken above
	})
}
