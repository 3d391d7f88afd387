package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// hold has room for everything.
func hold(int) error { return nil }

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
			h := r.Header
			_, _ = io.WriteString(w, strings.Join([]string{
				r.Method, r.URL.String(), h.Get("X-User-Id"), h.Get("Authorization"), string(body),
			}, " "))
		}
	})
	base := parse(t, up.URL)
	api := httpapi.New(httpapi.Config{Sessions: sessions{}})
	p := proxy.New(
		proxy.Config{
			Base:      base,
			MaxBody:   maxBody,
			Logger:    quiet(),
			Transport: http.DefaultTransport,
			Identify:  api.Identify,
			Authority: noStarts{},
		},
	)
	caller, err := api.Identify(request(t, "GET", "http://x/", nil))
	if err != nil {
		t.Fatal(err)
	}
	status, answer, err := p.Request(t.Context(), caller, "post", "/api/echo?a=1", map[string]any{"n": 1}, hold)
	if want := `POST /api/echo?a=1 7  {"n":1}`; status != 202 || string(answer) != want || err != nil {
		t.Errorf("%d %s %v, want %s", status, answer, err, want)
	}
	for _, endpoint := range []string{
		"/api/internal/x", "/api/%69nternal/x", "/api/../etc", "/api/a%2fb", "/api/auth/login",
	} {
		if status, answer, err := p.Request(
			t.Context(), caller, "GET", endpoint, nil, hold,
		); err == nil && status != 400 &&
			status != 404 {
			t.Errorf("%s: %d %s", endpoint, status, answer)
		}
	}
	for _, endpoint := range []string{"", "/x", "api/x", "http://evil/api/x", "//evil/api/", "/noetl/x", "/api/x#y"} {
		if _, _, err := p.Request(t.Context(), caller, "GET", endpoint, nil, hold); err == nil {
			t.Errorf("%q was accepted", endpoint)
		}
	}
	for _, endpoint := range []string{"/api/stream", "/api/huge", "/api/broken"} {
		if status, _, err := p.Request(t.Context(), caller, "GET", endpoint, nil, hold); err == nil && status < 400 {
			t.Errorf("%s: %d", endpoint, status)
		}
	}
	if status, _, err := p.Request(
		t.Context(), caller, "POST", "/api/execute", map[string]any{"path": "demo/denied"}, hold,
	); err != nil ||
		status != 403 {
		t.Errorf("executing without permission: %d %v", status, err)
	}
	if status, _, _ := p.Request(t.Context(), edge.Caller{}, "GET", "/api/echo", nil, hold); status != 401 {
		t.Errorf("nobody: %d", status)
	}
	if status, _, err := p.Request(
		t.Context(), caller, "CONNECT", "/api/echo", nil, hold,
	); err == nil && status != 405 {
		t.Errorf("CONNECT: %d", status)
	}
	if _, _, err := p.Request(t.Context(), caller, "G\r\nX", "/api/echo", nil, hold); err == nil {
		t.Error("a method with a line break")
	}
}
