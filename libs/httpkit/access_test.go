package httpkit_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// logged starts a listener with an access log in front of a handler.
func logged(t *testing.T, cfg httpkit.AccessConfig, h http.Handler) (url string, out *testkit.Log) {
	t.Helper()
	out = &testkit.Log{}
	access := httpkit.NewAccessLog(cfg, out, prometheus.NewRegistry())
	ln, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "PORT")
	if err != nil {
		t.Fatal(err)
	}
	proxies, err := httpkit.ParseProxies([]string{"loopback"})
	if err != nil {
		t.Fatal(err)
	}
	tel := telemetry.Nop("edge-proxy")
	srv := httpkit.NewServer("t", ln, access.Wrap("edge-proxy", proxies, httpkit.Edge(tel, h)),
		slog.New(slog.DiscardHandler), nil)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = access.Run(ctx) })
	wg.Go(func() { _ = srv.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return httpkit.URL(ln), out
}

func fetch(t *testing.T, url string, headers ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

func answers(w http.ResponseWriter, r *http.Request) {
	httpkit.NoteUser(r.Context(), "id:7")
	switch r.URL.Path {
	case "/missing":
		w.WriteHeader(http.StatusNotFound)
	case "/panic":
		panic("a bug")
	case "/stream":
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
		_ = c.Close()
	default:
		_, _ = io.WriteString(w, "hello")
	}
}

func TestTheAccessLogInJSON(t *testing.T) {
	t.Parallel()
	url, out := logged(t, httpkit.AccessConfig{Mode: "all", Format: "json"}, http.HandlerFunc(answers))
	const token = "0aB-secret_Session.token~9"
	fetch(t, url+"/x/"+token+"?ticket=hunter2", "Authorization", "Bearer "+token, "X-Forwarded-For", "203.0.113.9",
		"X-Request-Id", "r-1", "User-Agent", "ua "+token)
	testkit.Eventually(t, "it is written", func() bool { return strings.Contains(out.String(), "\n") })
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	if took, ok := line["duration_seconds"].(float64); !ok || took <= 0 || took > 60 {
		t.Errorf("it took %v", line["duration_seconds"])
	}
	delete(line, "duration_seconds")
	delete(line, "time")
	if diff := cmp.Diff(map[string]any{
		"level": "INFO", "msg": "access", "service": "edge-proxy", "method": "GET", "path": "/x/***", "status": 200.0,
		"bytes": 5.0, "address": "203.0.113.9", "request_id": "r-1", "user_agent": "ua ***", "user": "id:7",
		"proto": "HTTP/1.1",
	}, line); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "secret") {
		t.Errorf("it holds a secret: %s", out)
	}
}

// A stream is one line when it ends, with all that was sent on its connection.
func TestAStreamIsOneLineAtItsEnd(t *testing.T) {
	t.Parallel()
	url, out := logged(t, httpkit.AccessConfig{Mode: "all", Format: "json"}, http.HandlerFunc(answers))
	fetch(t, url+"/stream")
	testkit.Eventually(t, "it is written", func() bool { return strings.Contains(out.String(), "\n") })
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"status":200,"bytes":42,`) {
		t.Error(got)
	}
}

// What a client sends can neither end a field nor a line.
func TestTheCombinedFormatIsEscaped(t *testing.T) {
	t.Parallel()
	out := &testkit.Log{}
	access := httpkit.NewAccessLog(httpkit.AccessConfig{Mode: "all", Format: "combined"}, out, prometheus.NewRegistry())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/a%0Ab?session_token=hunter2", nil)
	r.RemoteAddr = "203.0.113.9:1"
	r.Header["User-Agent"] = []string{"x\" 200 0\n\x1b[2J\\"}
	r.Header.Set("Referer", "https://app.example.com/page?code=hunter2")
	h := access.Wrap("edge-proxy", nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpkit.NoteUser(r.Context(), "email:a b\n@example.com")
		answers(httptest.NewRecorder(), r)
		_, _ = io.WriteString(w, "hello")
	}))
	h.ServeHTTP(httptest.NewRecorder(), r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := access.Run(ctx); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^203\.0\.113\.9 - \S+ \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a%0Ab HTTP/1\.1" ` +
		`200 5 "https://app\.example\.com/page" "x\\x22 200 0\\x0a\\x1b\[2J\\x5c"\n$`)
	if got := out.String(); !want.MatchString(got) {
		t.Errorf("%q", got)
	}
}

// A request can be as long as its headers may be, and thousands of lines may wait.
func TestALineIsShortHoweverLongARequestIs(t *testing.T) {
	t.Parallel()
	out := &testkit.Log{}
	access := httpkit.NewAccessLog(httpkit.AccessConfig{Mode: "all", Format: "json"}, out, prometheus.NewRegistry())
	long := strings.Repeat("/a-b", 8000)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, long, nil)
	r.Method = strings.Repeat("M", 30_000)
	r.Header.Set("User-Agent", "x"+strings.Repeat("é", 15_000)) // 512 bytes end within a character
	r.Header.Set("Referer", "https://app.example.com"+long)
	access.Wrap("edge-proxy", nil, http.HandlerFunc(answers)).ServeHTTP(httptest.NewRecorder(), r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := access.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var line struct{ Method, Path, UserAgent string }
	got := out.String()
	if err := json.Unmarshal([]byte(strings.ReplaceAll(got, "user_agent", "UserAgent")), &line); err != nil {
		t.Fatal(err)
	}
	if len(got) > 2000 || len(line.Method) != 512 || len(line.Path) != 512 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	if want := "x" + strings.Repeat("é", 255); line.UserAgent != want {
		t.Errorf("the user agent is %q", line.UserAgent)
	}
}

func TestOnlyErrors(t *testing.T) {
	t.Parallel()
	url, out := logged(t, httpkit.AccessConfig{Mode: "errors", Format: "json"}, http.HandlerFunc(answers))
	fetch(t, url+"/fine")
	fetch(t, url+"/missing")
	fetch(t, url+"/panic")
	testkit.Eventually(t, "both are written", func() bool { return strings.Count(out.String(), "\n") == 2 })
	if got := out.String(); strings.Contains(got, "/fine") || !strings.Contains(got, `"status":404`) ||
		!strings.Contains(got, `"status":500`) {
		t.Error(got)
	}
	if httpkit.NewAccessLog(httpkit.AccessConfig{Mode: "off"}, out, prometheus.NewRegistry()) != nil {
		t.Error("it is off")
	}
	for _, bad := range []httpkit.AccessConfig{{Mode: "some", Format: "json"}, {Mode: "all", Format: "common"}} {
		if bad.Validate() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// stuck is an output that takes nothing.
type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.release; return len(p), nil }

// A full disk or a slow reader of standard error must hold up neither requests nor the end of the process.
func TestASlowOutputHoldsUpNoRequest(t *testing.T) {
	t.Parallel()
	out, reg := stuck{make(chan struct{})}, prometheus.NewRegistry()
	defer close(out.release)
	access := httpkit.NewAccessLog(httpkit.AccessConfig{Mode: "all", Format: "json"}, out, reg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = access.Run(ctx) }()
	h := access.Wrap("edge-proxy", nil, http.HandlerFunc(answers))
	begin := time.Now()
	for range 6000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	got, err := reg.Gather()
	if err != nil || testutil.CollectAndCount(reg) != 1 || got[0].GetMetric()[0].GetCounter().GetValue() < 1000 {
		t.Errorf("dropped %v, %v", got, err)
	}
	cancel()
	select { // while the output is stuck
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("the log does not end")
	}
}

func BenchmarkAccessLog(b *testing.B) {
	for _, mode := range []string{"off", "all"} {
		b.Run(mode, func(b *testing.B) {
			access := httpkit.NewAccessLog(
				httpkit.AccessConfig{Mode: mode, Format: "json"}, io.Discard, prometheus.NewRegistry())
			if access != nil {
				ctx, cancel := context.WithCancel(b.Context())
				done := make(chan struct{})
				go func() { defer close(done); _ = access.Run(ctx) }()
				defer func() { cancel(); <-done }()
			}
			tel := telemetry.Nop("edge-proxy")
			srv := httptest.NewServer(access.Wrap("edge-proxy", nil, httpkit.Edge(tel, http.HandlerFunc(answers))))
			defer srv.Close()
			b.ReportAllocs()
			for b.Loop() {
				resp, err := http.Get(srv.URL) //nolint:noctx // it ends with the server
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
