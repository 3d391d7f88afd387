package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// Pages of a listed origin read streams and tickets, whether a front leads them through
// edge-proxy or straight to event-fanout; each header is there once, or browsers refuse it.
func TestPagesOfOtherOriginsOpenStreams(t *testing.T) {
	t.Parallel()
	const listed, foreign = "https://app.example", "https://evil.example"
	s := stack.StartSplit(t, "CORS_ALLOWED_ORIGINS="+listed)
	session := stack.Login(t, s.Edge[0].Ready.Public, s.Sandbox.Ready.Issuer, "demo@example.com")
	alone := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+listed)
	for _, listener := range []struct{ name, base, session string }{
		{"through edge-proxy", s.Edge[0].Ready.Public, session},
		{"straight to event-fanout", s.Fanout[0].Ready.Public, session},
		{"one process", alone.Ready.Public, stack.Login(t, alone.Ready.Public, alone.Ready.Issuer, "demo@example.com")},
	} {
		ticket := testkit.Decode[struct {
			Ticket string `json:"ticket"`
		}](t, testkit.Do(t, http.MethodPost, listener.base+"/events/ticket", nil, bearer(listener.session)...)).Ticket
		by, cookie := bearer(listener.session), []string{"Cookie", "session_token=" + listener.session}
		for _, c := range []struct {
			what, method, path, from string
			headers                  []string
			want                     int
		}{
			{"a stream", http.MethodGet, "/events", listed, by, 200},
			{"a stream by cookie", http.MethodGet, "/events", listed, cookie, 200},
			{"a stream without a session", http.MethodGet, "/events", listed, nil, 401},
			{"a ticket", http.MethodPost, "/events/ticket", listed, by, 200},
			{"a ticket by cookie", http.MethodPost, "/events/ticket", listed, cookie, 200},
			{
				"a preflight", http.MethodOptions, "/events/ticket", listed,
				[]string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"},
				204,
			},
			{"a path that is none", http.MethodGet, "/events/none", listed, by, 404},
			{"a foreign page with a token", http.MethodGet, "/events", foreign, by, 200},
			{"a foreign page by cookie", http.MethodGet, "/events", foreign, cookie, 403},
			{
				"a foreign page with a ticket, and the cookie", http.MethodGet, "/events?ticket=" + ticket, foreign,
				cookie, 200,
			},
			{"a foreign page's ticket by cookie", http.MethodPost, "/events/ticket", foreign, cookie, 403},
			{
				"a foreign preflight", http.MethodOptions, "/events/ticket", foreign,
				[]string{"Access-Control-Request-Method", "POST"},
				204,
			},
		} {
			status, header := head(t, c.method, listener.base+c.path, append(slices.Clone(c.headers), "Origin", c.from))
			var origins, credentials []string
			if c.from == listed {
				origins, credentials = []string{listed}, []string{"true"}
			}
			if status != c.want || !slices.Equal(header.Values("Access-Control-Allow-Origin"), origins) ||
				!slices.Equal(header.Values("Access-Control-Allow-Credentials"), credentials) ||
				len(header.Values("Vary")) != 1 {
				t.Errorf("%s, %s: %d %v", listener.name, c.what, status, header)
			}
		}
	}
}

// head returns how an answer begins; a stream is left then.
func head(t *testing.T, method, target string, headers []string) (int, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := testkit.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, resp.Header
}
