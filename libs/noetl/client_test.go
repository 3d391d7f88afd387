package noetl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
)

func client(tb testing.TB, h http.HandlerFunc, timeout time.Duration) (*noetl.Client, string) {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return noetl.New(
		noetl.Config{BaseURL: srv.URL + "/", Timeout: timeout, InternalToken: "internal-secret"},
		telemetry.Nop("t"),
	), srv.URL
}

func TestStatusMapping(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{
		400: fault.Invalid, 401: fault.BadGateway, 403: fault.Denied, 404: fault.NotFound, 409: fault.Conflict,
		413: fault.TooLarge, 422: fault.Invalid,
		429: fault.RateLimited, 418: fault.BadGateway, 302: fault.BadGateway, 500: fault.BadGateway,
		502: fault.BadGateway, 503: fault.Unavailable, 504: fault.Timeout,
	} {
		c, base := client(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere") // must not be followed
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"detail":"because"}`)
		}, time.Minute)
		_, err := c.Execute(t.Context(), noetlwire.ExecuteRequest{Path: "p"})
		f := fault.Of(err)
		if f == nil || f.Kind != want || strings.Contains(f.Message, base) {
			t.Errorf("%d: %v, want %v", status, err, want)
			continue
		}
		if shown := strings.Contains(f.Message, "because"); shown != (status < 500 && status != 401) {
			t.Errorf("%d: %s", status, f.Message)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"execution_id":582940187123449857,"status":"started"}`: "582940187123449857", `{"execution_id":"5"}`: "5",
		`{}`: "", `{"execution_id":"a/b"}`: "", `nonsense`: "",
		`{"execution_id":"1","x":"` + strings.Repeat("x", 5<<20) + `"}`: "",
	} {
		c, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("the internal token went to a route that is not internal")
			}
			_, _ = io.WriteString(w, answer)
		}, time.Minute)
		out, err := c.Execute(t.Context(), noetlwire.ExecuteRequest{Path: "p"})
		if want == "" {
			if fault.Of(err) == nil || fault.Of(err).Kind != fault.BadGateway {
				t.Errorf("%.40s: %v", answer, err)
			}
		} else if string(out.ExecutionID) != want || err != nil {
			t.Errorf("%.40s: %+v %v", answer, out, err)
		}
	}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow, base := client(t, func(http.ResponseWriter, *http.Request) { <-release }, 100*time.Millisecond)
	defer close(release)
	err := slow.Cancel(t.Context(), "1", "r", true)
	if f := fault.Of(err); f == nil || f.Kind != fault.Timeout || strings.Contains(f.Message, base) ||
		noetl.NotSent(err) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := slow.Cancel(ctx, "1", "r", true); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	unreachable := noetl.New(noetl.Config{BaseURL: "http://127.0.0.1:1", Timeout: time.Minute}, telemetry.Nop("t"))
	err = unreachable.Cancel(t.Context(), "1", "r", true)
	if f := fault.Of(err); f == nil || f.Kind != fault.BadGateway || strings.Contains(f.Message, "127.0.0.1") ||
		!noetl.NotSent(err) {
		t.Error(err)
	}
	if _, err := unreachable.Listener(t.Context(), "x"); fault.Of(err).Code != "internal_token_unset" {
		t.Error(err)
	}
}

func TestIDsCannotLeaveTheirRoute(t *testing.T) {
	t.Parallel()
	c, _ := client(
		t,
		func(_ http.ResponseWriter, r *http.Request) { t.Errorf("NoETL was asked %s", r.URL) },
		time.Minute,
	)
	for _, id := range []string{"", ".", "..", "a/b", "1?x", "%2e%2e"} {
		if _, err := c.Rerun(t.Context(), id, nil); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("rerun %q: %v", id, err)
		}
		if err := c.Cancel(t.Context(), id, "", false); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("cancel %q: %v", id, err)
		}
	}
	for _, name := range []string{"", ".", ".."} {
		if _, err := c.Listener(t.Context(), name); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
			t.Errorf("listener %q: %v", name, err)
		}
	}
}

func TestTheInternalTokenGoesToInternalRoutes(t *testing.T) {
	t.Parallel()
	c, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer internal-secret" ||
			r.URL.EscapedPath() != "/api/internal/ingress/a%2Fb" {
			t.Error(r.URL, r.Header)
		}
		_, _ = fmt.Fprint(w, `{"listener":"a"}`)
	}, time.Minute)
	if l, err := c.Listener(t.Context(), "a/b"); err != nil || l.Listener != "a" {
		t.Error(l, err)
	}
}
