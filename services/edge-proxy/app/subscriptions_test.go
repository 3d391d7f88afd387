package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// seenByFanout is what event-fanout's stream listener was asked.
type seenByFanout struct{ Method, Path, Token, Body, RequestID string }

// subscriptionsAt makes event-fanout a server that answers with what it was asked, and boots the world before it.
func subscriptionsAt(t *testing.T, settings ...string) *world {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		rw.Header().Set("Access-Control-Allow-Origin", "https://elsewhere.example.com")
		rw.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodDelete {
			rw.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(rw).Encode(seenByFanout{
			r.Method, r.URL.EscapedPath(), r.Header.Get("X-Session-Token"), string(body), r.Header.Get("X-Request-Id"),
		})
	}))
	t.Cleanup(echo.Close)
	return boot(t, append([]string{"GATEWAY_EVENTS_URL=" + echo.URL}, settings...)...)
}

func TestSubscriptionsArePassedToEventFanout(t *testing.T) {
	t.Parallel()
	w := subscriptionsAt(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	headers := []string{"X-Session-Token", token, "Content-Type", "application/json", "Origin", origin}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/subscriptions", `{"source":"kv","path":"chat_threads/42/board"}`, 200},
		{"GET", "/api/subscriptions", "", 200},
		{"POST", "/api/subscriptions/firestore", `{"path":"chat_threads/42/board"}`, 200},
		{"POST", "/api/subscriptions/firestore", "", 200}, // event-fanout says what is wrong
		{"POST", "/api/subscriptions", strings.Repeat(" ", 16<<10), 200},
		{"DELETE", "/api/subscriptions/0f2b%2Fx", "", 404},
	} {
		got := w.send(c.method, c.path, c.body, append(headers, "X-Request-Id", "page-1")...)
		var seen seenByFanout
		if err := json.Unmarshal([]byte(got.body), &seen); err != nil {
			t.Fatalf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
		want := seenByFanout{c.method, c.path, token, c.body, got.header.Get("X-Request-Id")}
		if got.status != c.status || seen != want || seen.RequestID == "" {
			t.Errorf("%d, event-fanout saw %+v, want %+v", got.status, seen, want)
		}
		if origins := got.header.Values("Access-Control-Allow-Origin"); len(origins) != 1 || origins[0] != origin {
			t.Errorf("%s %s: CORS for %q", c.method, c.path, origins)
		}
	}
}

func TestSubscriptionsThatDoNotReachEventFanout(t *testing.T) {
	t.Parallel()
	w := subscriptionsAt(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               string
		headers            []string
	}{
		"no session":  {"POST", "/api/subscriptions", "{}", 401, "missing_session", nil},
		"no live one": {"GET", "/api/subscriptions", "", 401, "invalid_session", []string{"X-Session-Token", "x"}},
		"ended": {
			"DELETE", "/api/subscriptions/1", "", 401, "invalid_session", []string{"X-Session-Token", "x"},
		},
		"large":        {"POST", "/api/subscriptions", strings.Repeat(" ", 16<<10+1), 413, "body_too_large", nil},
		"no such path": {"POST", "/api/subscriptions/firestore/more", "{}", 404, "no_such_route", nil},
		"foreign page": {
			"POST", "/api/subscriptions/firestore", "{}", 403, "origin_denied",
			[]string{"Cookie", "session_token=" + token, "Origin", "https://evil.example"},
		},
		"foreign page, DELETE": {
			"DELETE", "/api/subscriptions/1", "", 403, "origin_denied",
			[]string{"Cookie", "session_token=" + token, "Origin", "https://evil.example"},
		},
	} {
		headers := c.headers
		if c.status == http.StatusRequestEntityTooLarge {
			headers = []string{"X-Session-Token", token}
		}
		w.send(c.method, c.path, c.body, headers...).refused(t, name, c.status, c.code)
	}
	for _, c := range [][3]string{
		{"PUT", "/api/subscriptions", "GET, HEAD, POST"},
		{"DELETE", "/api/subscriptions", "GET, HEAD, POST"},
		{"GET", "/api/subscriptions/firestore", "DELETE, POST"},
		{"GET", "/api/subscriptions/1", "DELETE"},
		{"POST", "/api/subscriptions/1", "DELETE"},
	} {
		got := w.send(c[0], c[1], "", "X-Session-Token", token)
		got.refused(t, c[0]+" "+c[1], 405, "method_not_allowed")
		if allow := got.header.Get("Allow"); allow != c[2] {
			t.Errorf("%s %s: Allow %q, want %q", c[0], c[1], allow, c[2])
		}
	}
}

// A browser asks before a page deletes; nobody needs a session for that.
func TestABrowserMayDeleteASubscription(t *testing.T) {
	t.Parallel()
	w := subscriptionsAt(t)
	asked := []string{
		"Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization,content-type",
	}
	got := w.send("OPTIONS", "/api/subscriptions/1", "", append(asked, "Origin", origin)...)
	if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != origin ||
		got.header.Get("Access-Control-Allow-Methods") != "DELETE" ||
		got.header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("%d %v", got.status, got.header)
	}
	got = w.send("OPTIONS", "/api/subscriptions/1", "", append(asked, "Origin", "https://evil.example")...)
	if got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("another origin: %v", got.header)
	}
}

// Opening one makes the auth service work: it counts for the session.
func TestCallsAboutSubscriptionsCount(t *testing.T) {
	t.Parallel()
	w := subscriptionsAt(t, "GATEWAY_RATE_SESSION_PER_MIN=10")
	token := w.auth.Add(authwire.User{UserID: 7})
	for range 30 {
		got := w.send("POST", "/api/subscriptions/firestore", "{}", "X-Session-Token", token)
		if got.status == http.StatusTooManyRequests {
			if got.header.Get("Retry-After") == "" {
				t.Errorf("no Retry-After: %v", got.header)
			}
			return
		}
	}
	t.Error("30 calls of a session that may make 10 a minute")
}
