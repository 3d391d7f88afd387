package callback_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/callback"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

func newSender(hosts ...string) *callback.Sender { return sender(sandbox.Rust, hosts...) }

func sender(g sandbox.Generation, hosts ...string) *callback.Sender {
	return callback.New(callback.Config{Generation: g, Hosts: hosts, Token: "shared"}, telemetry.Nop("test"))
}

func TestConformance(t *testing.T) {
	sandboxtest.RunCallbackSender(t, func(t *testing.T) sandboxtest.Gateway {
		t.Helper()
		var mu sync.Mutex
		var ids []string
		status := http.StatusOK
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body struct {
				RequestID string `json:"request_id"`
			}
			err := json.NewDecoder(r.Body).Decode(&body)
			mu.Lock()
			defer mu.Unlock()
			w.WriteHeader(status)
			if err == nil && status == http.StatusOK {
				ids = append(ids, body.RequestID)
			}
		}))
		t.Cleanup(srv.Close)
		return sandboxtest.Gateway{
			CallbackSender: newSender(), URL: srv.URL,
			Sent: func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), ids...) },
			Refuse: func(k fault.Kind) {
				mu.Lock()
				defer mu.Unlock()
				status = k.HTTPStatus()
			},
		}
	})
}

// TestWire pins what the gateway receives, route, headers and body, for each form and generation.
func TestWire(t *testing.T) {
	var got strings.Builder
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.WriteString(
			r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization") + " [" + r.Header.Get(
				"User-Agent",
			) + "]\n" +
				string(body) + "\n\n",
		)
	}))
	defer srv.Close()
	const id = "380000000000000001"
	odd := sandbox.Verbatim(
		"{\"latin1\":\"caf\xe9\",\"surrogate\":\"\\ud800\",\"nul\":\"\\u0000\",\"separator\":\"\u2028\"}",
	)
	for _, g := range sandbox.Generations() {
		got.WriteString("--- " + string(g) + "\n")
		for _, c := range []sandbox.Callback{
			{
				Form: sandbox.FormReply, RequestID: "r", ExecutionID: id, Status: "success",
				Data: map[string]any{"valid": true},
			},
			{
				Form: sandbox.FormProgress, RequestID: "r", ExecutionID: id, First: true, Step: "load",
				Message:  "step 1 of 5",
				Progress: 0.2,
			},
			{
				Form: sandbox.FormProgress, RequestID: "r", ExecutionID: id, Step: "load",
				Message:  "caf\xe9 \u2028 \x00 \"\\\n",
				Progress: 0.8,
			},
			{
				Form: sandbox.FormResult, RequestID: "r", ExecutionID: id, Status: "COMPLETED",
				Data: map[string]any{"a": json.Number("9007199254740993")},
			},
			{Form: sandbox.FormResult, RequestID: "r", ExecutionID: id, Status: "COMPLETED", Data: odd},
			{Form: sandbox.FormResult, RequestID: "r", ExecutionID: id, Status: "FAILED", Failure: &sandbox.Failure{
				Code: -32000, Message: "no", Data: map[string]any{"step": "fail"},
			}},
		} {
			if err := sender(g).Send(t.Context(), srv.URL+"/", c); err != nil {
				t.Fatal(err)
			}
		}
	}
	want, err := os.ReadFile(filepath.Join("testdata", "wire.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestServerSideRequestForgery(t *testing.T) {
	s := newSender("gateway.internal", "fanout:8091")
	for u, ok := range map[string]bool{
		"http://127.0.0.1:8091": true, "http://localhost:8091": true, "http://[::1]:8091": true,
		"https://127.9.9.9":         true,
		"http://GATEWAY.internal:1": true, "http://fanout:8091": true, "http://fanout:22": false,
		"http://169.254.169.254": false, "http://10.0.0.1": false, "http://0.0.0.0:8091": false, "http://[::]:1": false,
		"http://localhost.example.com": false, "http://127.0.0.1@example.com": false, "http://2130706433": false,
		"http://127.1":         false,
		"http://127.0.0.1/?x=": false, "http://127.0.0.1/?": false, "http://127.0.0.1/#": true,
		"file:///etc/passwd": false, "gopher://127.0.0.1": false, "http://[::ffff:127.0.0.1]": true,
		"http://[::ffff:10.0.0.1]": false,
	} {
		if got := s.Allowed(u) == nil; got != ok {
			t.Errorf("Allowed(%q) = %v, want %v", u, got, ok)
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	reached := false
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer target.Close()
	srv := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	err := newSender().Send(t.Context(), srv.URL, sandbox.Callback{RequestID: "r"})
	if err == nil || reached {
		t.Errorf("err = %v, reached = %v", err, reached)
	}
}

func FuzzAllowed(f *testing.F) {
	f.Add("http://127.0.0.1:80")
	f.Add("http://[::1%25eth0]/")
	f.Add("http://localhost\\@example.com")
	s := newSender()
	f.Fuzz(func(t *testing.T, u string) {
		if s.Allowed(u) == nil && !strings.HasPrefix(strings.ToLower(u), "http") {
			t.Errorf("%q is allowed", u)
		}
	})
}

// Whatever stands in a message, what is sent is one JSON object, and of text that is UTF-8 nothing is lost.
func FuzzMessage(f *testing.F) {
	f.Add("plain")
	f.Add("caf\xe9 \u2028 \x00 \"\\\n\x7f")
	f.Fuzz(func(t *testing.T, message string) {
		var body []byte
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ = io.ReadAll(r.Body)
		}))
		defer srv.Close()
		if err := newSender().Send(
			t.Context(), srv.URL, sandbox.Callback{Form: sandbox.FormProgress, RequestID: "r", Message: message},
		); err != nil {
			t.Fatal(err)
		}
		var got struct{ Message string }
		if err := json.Unmarshal(body, &got); err != nil || utf8.ValidString(message) && got.Message != message {
			t.Errorf("%q became %q: %v", message, body, err)
		}
	})
}
