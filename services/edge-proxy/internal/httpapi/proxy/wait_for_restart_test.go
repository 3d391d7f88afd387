package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// EventSource takes no status but 200: while event-fanout restarts, a stream waits.
func TestAStreamWaitsForAReplicaThatRestarts(t *testing.T) {
	t.Parallel()
	answer := func(status int, closes bool) (*http.Response, error) {
		return &http.Response{StatusCode: status, Close: closes, Body: io.NopCloser(strings.NewReader(""))}, nil
	}
	for name, c := range map[string]struct {
		method, path string
		next         func(tried int, since time.Duration) (*http.Response, error)
		status       int // 0 for an error
		least, most  time.Duration
	}{
		"it is there": {
			"GET", "/events", func(int, time.Duration) (*http.Response, error) { return answer(200, false) }, 200, 0, 0,
		},
		"it comes back": {"GET", "/events", func(_ int, since time.Duration) (*http.Response, error) {
			if since < 4*time.Second {
				return nil, errors.New("connection refused")
			}
			return answer(200, false)
		}, 200, 4 * time.Second, 5 * time.Second},
		"it is draining": {"GET", "/events", func(tried int, _ time.Duration) (*http.Response, error) {
			if tried < 3 {
				return answer(503, true)
			}
			return answer(200, false)
		}, 200, 1, 2 * time.Second},
		"it stays down": {
			"GET", "/events", func(int, time.Duration) (*http.Response, error) { return nil, errors.New("refused") }, 0,
			10 * time.Second, 11 * time.Second,
		},
		"an outage behind it": {
			"GET", "/events", func(int, time.Duration) (*http.Response, error) { return answer(503, false) }, 503, 0, 0,
		},
		"no session": {
			"GET", "/events", func(int, time.Duration) (*http.Response, error) { return answer(401, true) }, 401, 0, 0,
		},
		"a ticket is no stream": {
			"POST", "/events/ticket",
			func(int, time.Duration) (*http.Response, error) { return nil, errors.New("refused") }, 0, 0, 0,
		},
		"nor is a WebSocket": {
			"GET", "/ws", func(int, time.Duration) (*http.Response, error) { return nil, errors.New("refused") }, 0, 0,
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin, tried := time.Now(), 0
				p := proxy.WaitForRestart{Next: transport(func(*http.Request) (*http.Response, error) {
					tried++
					return c.next(tried, time.Since(begin))
				})}
				resp, err := p.RoundTrip(httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
				status := 0
				if err == nil {
					status = resp.StatusCode
					_ = resp.Body.Close()
				}
				if took := time.Since(begin); status != c.status || took < c.least || took > c.most {
					t.Errorf("status %d, %v, after %s", status, err, took)
				}
			})
		})
	}
}

// A body is gone once it was sent: it must not be sent again, half read.
func TestARequestWithABodyIsTriedOnce(t *testing.T) {
	t.Parallel()
	tried := 0
	p := proxy.WaitForRestart{Next: transport(func(*http.Request) (*http.Response, error) {
		tried++
		return nil, errors.New("refused")
	})}
	resp, err := p.RoundTrip(
		httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", strings.NewReader("body")),
	)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err == nil || tried != 1 {
		t.Errorf("tried %d times, %v", tried, err)
	}
}
