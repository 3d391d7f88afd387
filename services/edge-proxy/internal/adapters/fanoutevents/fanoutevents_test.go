package fanoutevents_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/fanoutevents"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

const stream = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"clientId\":\"c1\"}}\n\n" +
	": a comment\n\n" +
	"event: ping\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"params\":{}}\n\n" +
	"id: e-7\nevent: playbook/result\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"playbook/result\",\ndata: " +
	"\"params\":{\"executionId\":582940187123449857}}\n\n" +
	"data: no json\n\n"

// events is an event-fanout that shows what it was asked.
func events(asked *http.Request) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked.Header, asked.URL = r.Header.Clone(), r.URL
		if r.URL.Query().Get("client_id") == "foreign" {
			httpkit.WriteError(r.Context(), w, fault.New(fault.Denied, "foreign_client", "not yours"))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream)
		_ = http.NewResponseController(w).Flush()
		if r.URL.Query().Get("client_id") == "long" {
			<-r.Context().Done()
		}
	}
}

// both runs a test over a socket and over memory.
func both(t *testing.T, test func(t *testing.T, port edge.Frames, asked *http.Request)) {
	t.Helper()
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		var asked http.Request
		srv := httptest.NewServer(events(&asked))
		t.Cleanup(srv.Close)
		base, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		test(t, fanoutevents.New(base, http.DefaultTransport), &asked)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		var asked http.Request
		local := fanoutevents.NewLocal(events(&asked))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- local.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		test(t, fanoutevents.New(&url.URL{Scheme: "http", Host: "event-fanout"}, local.Transport()), &asked)
	})
}

func TestFramesOfAStream(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, port edge.Frames, asked *http.Request) {
		t.Helper()
		ctx := httpkit.WithClient(t.Context(), netip.MustParseAddr("198.51.100.7"))
		frames, err := port.Open(
			ctx,
			edge.FramesRequest{
				Caller: edge.Caller{Token: authwire.NewToken("tok")}, ClientID: "c1", LastEventID: "e-6",
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		var got []edge.Frame
		for f := range frames {
			got = append(got, f)
		}
		want := []edge.Frame{
			{Method: "initialized", Params: map[string]any{"clientId": "c1"}},
			{Method: "ping", Params: map[string]any{}},
			{
				ID:     "e-7",
				Method: "playbook/result",
				Params: map[string]any{"executionId": json.Number("582940187123449857")},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if h := asked.Header; h.Get("Authorization") != "Bearer tok" ||
			asked.URL.Query().Get("last_event_id") != "e-6" ||
			h.Get("X-Forwarded-For") != "198.51.100.7" ||
			strings.Contains(asked.URL.String(), "tok") {
			t.Errorf("asked %s %v", asked.URL, h)
		}
	})
}

func TestTheStreamEndsWithItsReader(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, port edge.Frames, _ *http.Request) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		frames, err := port.Open(
			ctx, edge.FramesRequest{Caller: edge.Caller{Token: authwire.NewToken("tok")}, ClientID: "long"},
		)
		if err != nil {
			t.Fatal(err)
		}
		<-frames
		cancel()
		deadline := time.After(5 * time.Second)
		for {
			select {
			case _, ok := <-frames:
				if !ok {
					return
				}
			case <-deadline:
				t.Fatal("the channel stays open")
			}
		}
	})
}

func TestARefusalIsAFault(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, port edge.Frames, _ *http.Request) {
		t.Helper()
		_, err := port.Open(t.Context(), edge.FramesRequest{ClientID: "foreign"})
		if f := fault.Of(err); f == nil || f.Kind != fault.Denied || f.Code != "foreign_client" ||
			f.Message != "not yours" {
			t.Errorf("%v", err)
		}
	})
	base := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	if _, err := fanoutevents.New(base, http.DefaultTransport).
		Open(t.Context(), edge.FramesRequest{}); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(stream))
	f.Add([]byte("data:\n\ndata\n\n:\n\nid\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		srv := roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(b)))}, nil
		})
		frames, err := fanoutevents.New(&url.URL{Scheme: "http", Host: "x"}, srv).
			Open(t.Context(), edge.FramesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for frame := range frames {
			if frame.Method == "" || strings.ContainsAny(frame.ID, "\r\n") && !strings.Contains(string(b), frame.ID) {
				t.Errorf("%+v", frame)
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
