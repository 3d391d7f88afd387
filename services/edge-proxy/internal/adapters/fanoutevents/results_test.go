package fanoutevents_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/fanoutevents"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// results is an event-fanout that keeps some results of whoever shows the token tok.
func results(w http.ResponseWriter, r *http.Request) {
	switch id, known := strings.CutPrefix(r.URL.Path, "/api/results/"); {
	case r.Header.Get("Authorization") != "Bearer tok":
		httpkit.WriteError(r.Context(), w, fault.New(fault.Unauthenticated, "no_session", "sign in"))
	case id == "small":
		_, _ = io.WriteString(w, `{"n":12345678901234567890,"from":"`+r.Header.Get("X-Forwarded-For")+`"}`)
	case id == "large":
		_, _ = io.WriteString(w, `"`+strings.Repeat("a", 1<<20)+`"`)
	case id == "endless": // without a length
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("1", 1<<16)); err != nil {
				return
			}
		}
	case id == "broken":
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"a":`)
	case id == "text":
		_, _ = io.WriteString(w, `<html>`)
	case id == "mute":
		w.WriteHeader(http.StatusTeapot)
	case known:
		httpkit.WriteError(r.Context(), w, fault.New(fault.NotFound, "no_such_result", "none is kept"))
	}
}

// withResults runs a test over a socket and over memory.
func withResults(t *testing.T, test func(*testing.T, *fanoutevents.Results)) {
	t.Helper()
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		srv := httptest.NewServer(http.HandlerFunc(results))
		t.Cleanup(srv.Close)
		base, err := url.Parse(srv.URL)
		testkit.Must(t, err)
		test(t, fanoutevents.NewResults(base, http.DefaultTransport))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		local := fanoutevents.NewLocal(http.HandlerFunc(results))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- local.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		test(t, fanoutevents.NewResults(&url.URL{Scheme: "http", Host: "event-fanout"}, local.Transport()))
	})
}

func TestResults(t *testing.T) {
	t.Parallel()
	mine := edge.Caller{Token: authwire.NewToken("tok")}
	withResults(t, func(t *testing.T, port *fanoutevents.Results) {
		t.Helper()
		ctx := httpkit.WithClient(t.Context(), netip.MustParseAddr("198.51.100.7"))
		got, err := port.Result(ctx, mine, "small", 1000)
		if want := `{"n":12345678901234567890,"from":"198.51.100.7"}`; err != nil || string(got) != want {
			t.Errorf("%s %v", got, err)
		}
		if got, err := port.Result(ctx, mine, "large", 1<<20+2); err != nil || len(got) != 1<<20+2 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		for _, c := range []struct {
			caller edge.Caller
			id     string
			kind   fault.Kind
			code   string
		}{
			{mine, "none", fault.NotFound, "no_such_result"},
			{edge.Caller{Token: authwire.NewToken("other")}, "small", fault.Unauthenticated, "no_session"},
			{mine, "large", fault.TooLarge, "result_too_large"},
			{mine, "endless", fault.TooLarge, "result_too_large"},
			{mine, "broken", fault.Unavailable, "event-fanout_unavailable"},
			{mine, "text", fault.BadGateway, "bad_result"},
			{mine, "mute", fault.BadGateway, "bad_stream"},
			{mine, "../../events", fault.Invalid, "bad_request_id"},
			{mine, "", fault.Invalid, "bad_request_id"},
		} {
			got, err := port.Result(ctx, c.caller, c.id, 1<<20+1)
			if f := fault.Of(err); f == nil || f.Kind != c.kind || f.Code != c.code {
				t.Errorf("%q: %d bytes, %v", c.id, len(got), err)
			}
		}
	})
	nobody := fanoutevents.NewResults(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}, http.DefaultTransport)
	if _, err := nobody.Result(t.Context(), mine, "small", 1); !fault.IsOutage(err) {
		t.Errorf("nobody there: %v", err)
	}
}
