package httpkit_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/telemetry"
)

type input struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

func post(body, contentType string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestDecodeJSONSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	decode := httpkit.DecodeJSON[input](64)
	for name, c := range map[string]struct {
		body, contentType string
		kind              fault.Kind
		says              string
	}{
		"fine":         {`{"name":"x","n":1,"newer":true}`, "application/json; charset=utf-8", fault.Internal, ""},
		"no type":      {`{}`, "", fault.Internal, ""},
		"suffix":       {`{}`, "application/x+json", fault.Internal, ""},
		"a form":       {`{}`, "application/x-www-form-urlencoded", fault.Unsupported, "application/json"},
		"text":         {`{}`, "text/plain", fault.Unsupported, "application/json"},
		"bad type":     {`{}`, ";;", fault.Unsupported, "application/json"},
		"empty":        {``, "", fault.Invalid, "JSON object"},
		"syntax":       {`{"name":`, "", fault.Invalid, "not valid JSON"},
		"two":          {`{} {}`, "", fault.Invalid, "not valid JSON"},
		"wrong member": {`{"n":"x"}`, "", fault.Invalid, "n must not be a JSON string"},
		"wrong whole":  {`[1]`, "", fault.Invalid, "the body must not be a JSON array"},
		"large":        {`{"name":"` + strings.Repeat("x", 64) + `"}`, "", fault.TooLarge, "64 bytes"},
	} {
		_, err := decode(post(c.body, c.contentType))
		if f := fault.Of(err); (c.says == "") != (f == nil) ||
			(f != nil && (f.Kind != c.kind || !strings.Contains(f.Message, c.says))) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add(`{"name":1}`)
	f.Add("\x00")
	decode := httpkit.DecodeJSON[input](1 << 10)
	f.Fuzz(func(t *testing.T, body string) {
		_, err := decode(post(body, ""))
		if kind, failed := fault.KindOf(err); failed && kind != fault.Invalid && kind != fault.TooLarge {
			t.Errorf("%q: %v", body, err)
		}
	})
}

func TestErrorsHideWhatIsForeign(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set(httpkit.RequestIDHeader, "req-1")
	httpkit.WriteError(t.Context(), w, errors.New("dial tcp 10.0.0.1: password=hunter2"))
	if body := w.Body.String(); w.Code != 500 || strings.Contains(body, "10.0.0.1") ||
		!strings.Contains(body, `"correlation_id":"req-1"`) {
		t.Error(w.Code, body)
	}
	for err, want := range map[*fault.Error][2]string{
		fault.New(fault.Unavailable, "x", "x"):                        {"Retry-After", "2"},
		fault.New(fault.RateLimited, "x", "x").After(7 * time.Second): {"Retry-After", "7"},
		fault.New(fault.Unauthenticated, "x", "x"):                    {"WWW-Authenticate", `Bearer realm="noetl-gateway"`},
	} {
		w := httptest.NewRecorder()
		httpkit.WriteError(t.Context(), w, err)
		if w.Code != err.Kind.HTTPStatus() || w.Header().Get(want[0]) != want[1] || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%v: %d %v", err, w.Code, w.Header())
		}
	}
}

func TestEdge(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("hunter2") })
	mux.Handle(
		"POST /op",
		httpkit.Handle(
			func(_ context.Context, in input) (input, error) { return in, nil },
			httpkit.DecodeJSON[input](64),
			httpkit.JSON,
		),
	)
	mux.HandleFunc("/", httpkit.NotFound)
	srv := httptest.NewServer(httpkit.Edge(telemetry.Nop("t"), mux))
	defer srv.Close()
	do := func(path, id string) (status int, h http.Header, text string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader(`{"n":3}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(httpkit.RequestIDHeader, id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var body struct {
			Error string `json:"error"`
			N     int    `json:"n"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if path == "/op" && body.N != 3 {
			t.Error("the operation was not called")
		}
		return resp.StatusCode, resp.Header, body.Error
	}
	for path, want := range map[string]int{"/op": 200, "/panic": 500, "/none": 404} {
		if status, h, text := do(
			path,
			"good-id.1:2",
		); status != want || strings.Contains(text, "hunter2") || h.Get(httpkit.RequestIDHeader) != "good-id.1:2" ||
			h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %s %v", path, status, text, h)
		}
	}
	for _, id := range []string{"", "a b", "<script>", strings.Repeat("x", 129)} {
		if _, h, _ := do("/op", id); h.Get(httpkit.RequestIDHeader) == id || len(h.Get(httpkit.RequestIDHeader)) != 32 {
			t.Errorf("%q was kept", id)
		}
	}
}

func TestReadinessStates(t *testing.T) {
	t.Parallel()
	bad := func(context.Context) error { return errors.New("dial 10.0.0.1") }
	good := func(context.Context) error { return nil }
	for _, c := range []struct {
		critical, optional func(context.Context) error
		drain              bool
		want               string
		status             int
	}{
		{good, good, false, "ready", 200},
		{good, bad, false, "degraded", 200},
		{bad, good, false, "unready", 503},
		{bad, bad, false, "unready", 503},
		{good, good, true, "draining", 503},
	} {
		h := &httpkit.Health{}
		h.Add(
			httpkit.Check{Name: "c", Critical: true, Probe: c.critical},
			httpkit.Check{Name: "o", Probe: c.optional}, httpkit.Check{Name: "c", Critical: true, Probe: bad},
		)
		if c.drain {
			h.Drain()
		}
		mux := http.NewServeMux()
		h.Register(mux)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		if s := h.Readiness(t.Context()); s.Status != c.want || w.Code != c.status ||
			strings.Contains(w.Body.String(), "10.0.0.1") {
			t.Errorf("%+v %d %s, want %s", s, w.Code, w.Body, c.want)
		}
	}
}

func TestABusyPortIsNamed(t *testing.T) {
	t.Parallel()
	ln, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "X_PORT")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	u := httpkit.URL(ln)
	port := 0
	for _, d := range u[strings.LastIndexByte(u, ':')+1:] {
		port = port*10 + int(d-'0')
	}
	if _, err := httpkit.Listen(
		t.Context(), "127.0.0.1", port, "X_PORT",
	); err == nil || !strings.Contains(err.Error(), "X_PORT") ||
		!strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
}
