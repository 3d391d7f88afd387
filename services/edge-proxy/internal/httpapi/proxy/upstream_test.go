package proxy_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// flaky answers what it is told to.
type flaky struct {
	calls atomic.Int64
	err   atomic.Pointer[error]
	fails atomic.Int64 // how many more calls fail
}

// RoundTrip implements http.RoundTripper.
func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.calls.Add(1)
	if err := f.err.Load(); err != nil && f.fails.Add(-1) >= 0 {
		return nil, *err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func (f *flaky) fail(err error, times int64) {
	f.err.Store(&err)
	f.fails.Store(times)
	f.calls.Store(0)
}

var (
	errDial  = &net.OpError{Op: "dial", Err: errors.New("refused")}
	errReset = &net.OpError{Op: "read", Err: errors.New("reset")}
)

func call(t *testing.T, u *proxy.Upstream, method, body string) error {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://noetl:1/api/x", reader)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := u.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

func TestOnlyCallsThatNeverArrivedAndMayBeRepeatedAre(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method, body string
		err                error
		calls              int64
		ok                 bool
	}{
		{"a GET that did not arrive", "GET", "", errDial, 3, true},
		{"a DELETE that did not arrive", "DELETE", "", errDial, 3, true},
		{"a POST starts things", "POST", "", errDial, 1, false},
		{"a PATCH is not idempotent", "PATCH", "", errDial, 1, false},
		{"a body is gone", "PUT", "x", errDial, 1, false},
		{"a GET that may have arrived", "GET", "", errReset, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next := &flaky{}
				next.fail(c.err, 2)
				err := call(t, proxy.NewUpstream(next, "noetl:1"), c.method, c.body)
				if next.calls.Load() != c.calls || (err == nil) != c.ok {
					t.Errorf("%d calls, %v", next.calls.Load(), err)
				}
			})
		})
	}
}

func TestTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := &flaky{}
		u := proxy.NewUpstream(next, "noetl:1")
		next.fail(errReset, 1000)
		for range 19 {
			_ = call(t, u, "POST", "")
		}
		if next.calls.Load() != 19 {
			t.Fatalf("below its volume the breaker let %d of 19 through", next.calls.Load())
		}
		for range 20 {
			_ = call(t, u, "POST", "")
		}
		if n := next.calls.Load(); n != 20 {
			t.Errorf("%d calls reached a server that is down", n)
		}
		next.fail(errReset, 0) // it is back
		<-time.After(4 * time.Second)
		for range 10 {
			if err := call(t, u, "POST", ""); err != nil {
				t.Fatalf("it is back, and yet: %v", err)
			}
		}
	})
}

func TestWhatClientsDoDoesNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	next := &flaky{}
	next.fail(&http.MaxBytesError{Limit: 1}, 100)
	u := proxy.NewUpstream(next, "noetl:1")
	for range 50 {
		_ = call(t, u, "POST", "")
	}
	if next.calls.Load() != 50 {
		t.Errorf("%d of 50 calls were let through", next.calls.Load())
	}
}

func TestAnAnswerThatFallsSilentEnds(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/stream" {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		_, _ = io.WriteString(w, "data: begun\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "data: end\n\n")
	})
	srv := front(t, up.URL, func(c *proxy.Config) { c.Idle = 100 * time.Millisecond })
	get := func(path string) (string, error) {
		resp, err := http.DefaultClient.Do(request(t, "GET", srv.URL+path, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	if b, err := get("/noetl/silent"); err == nil || strings.Contains(b, "end") {
		t.Errorf("a silent answer: %q %v", b, err)
	}
	timer := time.AfterFunc(500*time.Millisecond, func() { close(release) })
	defer timer.Stop()
	if b, err := get("/noetl/stream"); err != nil || !strings.Contains(b, "end") {
		t.Errorf("a stream may be silent: %q %v", b, err)
	}
}

// A client's own X-Forwarded-For is not passed on to the other services; its address is.
func TestForwardSaysWhoTheClientIs(t *testing.T) {
	t.Parallel()
	neighbour := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join(r.Header.Values("X-Forwarded-For"), "|"))
	})
	h := proxy.Forward(parse(t, neighbour.URL), nil, http.DefaultTransport, "event-fanout", quiet())
	for trusted, want := range map[string]string{"loopback": "198.51.100.7", "": "127.0.0.1"} {
		proxies, err := httpkit.ParseProxies([]string{trusted})
		if err != nil {
			t.Fatal(err)
		}
		srv := upstream(t, proxies.Wrap(h).ServeHTTP)
		if got := send(
			t, "GET", srv.URL, "", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-For", "198.51.100.7",
		); got.body != want {
			t.Errorf("trusting %q: %s, want %s", trusted, got.body, want)
		}
	}
}

func TestAnOpenBreakerSaysWhenToComeAgain(t *testing.T) {
	t.Parallel()
	next := &flaky{}
	next.fail(errReset, 1000)
	srv := front(
		t,
		"http://noetl:1",
		func(c *proxy.Config) { c.Transport = proxy.NewUpstream(next, "noetl:1") },
	)
	var got answer
	for range 30 {
		got = send(t, "POST", srv.URL+"/noetl/x", "")
	}
	got.refused(t, "open", http.StatusBadGateway, "noetl_unreachable")
	if got.header.Get("Retry-After") == "" || strings.Contains(got.body, "noetl:1") {
		t.Errorf("%v %s", got.header, got.body)
	}
}

// A stream and an upgraded connection end with the session that opened them.
func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(
				conn,
				"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbegun",
			)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for name, upgrade := range map[string]string{
		"stream": "", "upgrade": "Connection: Upgrade\r\nUpgrade: websocket\r\n",
	} {
		live := &ending{}
		srv := front(t, up.URL, func(c *proxy.Config) { c.Live = live })
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://")) //nolint:noctx // loopback
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(
			conn,
			"GET /noetl/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\n"+upgrade+"\r\n",
		); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		buf := make([]byte, 1024)
		for !strings.Contains(got.String(), "begun") {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(name, err, got.String())
			}
			got.Write(buf[:n])
		}
		live.over.Store(true)
		begin := time.Now()
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) &&
			!strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v after %v", name, err, time.Since(begin))
		}
	}
}

func TestInformationalAnswersRemoveNoHeader(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</secret.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("X-From", "noetl")
		_, _ = io.WriteString(w, "ok")
	})
	got := send(t, "GET", front(t, up.URL).URL+"/noetl/x", "", "Origin", origin)
	if got.status != 200 || got.body != "ok" || got.header.Get("Access-Control-Allow-Origin") != origin ||
		got.header.Get("X-Request-Id") == "" ||
		got.header.Get("X-From") != "noetl" ||
		got.header.Get("Link") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
}
