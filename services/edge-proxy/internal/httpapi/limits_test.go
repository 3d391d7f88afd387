package httpapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

func TestAnAddressThatCallsTooOften(t *testing.T) {
	t.Parallel()
	proxies, err := httpkit.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	h := proxies.Wrap(httpapi.PerAddress(kit.NewRates(1, 2), ok))
	try := func(path, forwarded string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.RemoteAddr = "10.0.0.1:5"
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for range 2 {
		if w := try("/noetl/x", "198.51.100.1"); w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
	if w := try("/graphql", "198.51.100.1"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := try("/noetl/x", "198.51.100.2"); w.Code != 200 {
		t.Errorf("another client behind the same proxy: %d", w.Code)
	}
	if w := try("/noetl/x", "1.2.3.4, 198.51.100.1"); w.Code != 429 {
		t.Errorf("an invented hop before the real one: %d", w.Code)
	}
	for _, path := range []string{"/health", "/healthz", "/readyz", "/ingress/x", "/api/internal/progress"} {
		if w := try(path, "198.51.100.1"); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestASessionThatCallsTooOften(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(http.ResponseWriter, *http.Request) {})
	srv := front(t, up.URL, func(c *httpapi.ProxyConfig) {
		doors := &httpapi.Doors{Sessions: sessions{}, PerSession: kit.NewRates(1, 2)}
		c.Identify = doors.Identify
	})
	for range 2 {
		if got := send(t, "GET", srv.URL+"/noetl/x", ""); got.status != 200 {
			t.Fatal(got)
		}
	}
	send(t, "GET", srv.URL+"/noetl/x", "").refused(t, "the third", 429, "too_many")
}

func TestOneCallForGraphQL(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/api/huge":
			_, _ = io.WriteString(w, strings.Repeat("x", 5<<20))
		case "/api/broken":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "x")
		default:
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(
				w,
				r.Method+" "+r.URL.String()+" "+r.Header.Get(
					"X-User-Id",
				)+" "+r.Header.Get(
					"Authorization",
				)+" "+string(
					body,
				),
			)
		}
	})
	base := parse(t, up.URL)
	doors := &httpapi.Doors{Sessions: sessions{}, MaxBody: maxBody}
	p := httpapi.NewProxy(
		httpapi.ProxyConfig{
			Base:      base,
			MaxBody:   maxBody,
			Logger:    quiet(),
			Transport: http.DefaultTransport,
			Identify:  doors.Identify,
			Authority: noStarts{},
		},
	)
	caller, err := doors.Identify(request(t, "GET", "http://x/", nil))
	if err != nil {
		t.Fatal(err)
	}
	status, answer, err := p.Request(t.Context(), caller, "post", "/api/echo?a=1", map[string]any{"n": 1})
	if want := `POST /api/echo?a=1 7  {"n":1}`; status != 202 || string(answer) != want || err != nil {
		t.Errorf("%d %s %v, want %s", status, answer, err, want)
	}
	for _, endpoint := range []string{"/api/internal/x", "/api/%69nternal/x", "/api/../etc", "/api/a%2fb", "/api/auth/login"} {
		if status, answer, err := p.Request(t.Context(), caller, "GET", endpoint, nil); err == nil && status != 400 &&
			status != 404 {
			t.Errorf("%s: %d %s", endpoint, status, answer)
		}
	}
	for _, endpoint := range []string{"", "/x", "api/x", "http://evil/api/x", "//evil/api/", "/noetl/x", "/api/x#y"} {
		if _, _, err := p.Request(t.Context(), caller, "GET", endpoint, nil); err == nil {
			t.Errorf("%q was accepted", endpoint)
		}
	}
	for _, endpoint := range []string{"/api/stream", "/api/huge", "/api/broken"} {
		if status, _, err := p.Request(t.Context(), caller, "GET", endpoint, nil); err == nil && status < 400 {
			t.Errorf("%s: %d", endpoint, status)
		}
	}
	if status, _, err := p.Request(
		t.Context(), caller, "POST", "/api/execute", map[string]any{"path": "demo/denied"},
	); err != nil ||
		status != 403 {
		t.Errorf("executing without permission: %d %v", status, err)
	}
	if status, _, _ := p.Request(t.Context(), edge.Caller{}, "GET", "/api/echo", nil); status != 401 {
		t.Errorf("nobody: %d", status)
	}
	if status, _, err := p.Request(t.Context(), caller, "CONNECT", "/api/echo", nil); err == nil && status != 405 {
		t.Errorf("CONNECT: %d", status)
	}
	if _, _, err := p.Request(t.Context(), caller, "G\r\nX", "/api/echo", nil); err == nil {
		t.Error("a method with a line break")
	}
}
