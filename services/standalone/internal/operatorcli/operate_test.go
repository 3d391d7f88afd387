package operatorcli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

// operators answers as the operators' API does, from what it is given, and keeps what it was asked.
func operators(t *testing.T) (url string, asked func() string) {
	t.Helper()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	ada := authwire.User{UserID: 7, Email: "ada@example.com", DisplayName: "Ada", Roles: []string{"admin", "viewer"}}
	session := operatorwire.Session{
		ID: "s1", User: ada, Issuer: "https://login.example.com/", CreatedAt: now.Add(-3 * time.Hour),
		ExpiresAt: now.Add(5 * time.Hour),
	}
	request := operatorwire.Request{
		ID: "r1", ClientID: "c1", User: "id:7", SessionID: "s1", ExecutionID: "77", Playbook: "demo/\x1b[31mred",
		CreatedAt: now.Add(-42 * time.Second), State: "pending",
	}
	levels := []string{"auth/a1", "auth/a2"}
	answers := map[string]any{
		"GET /api/operator/status": operatorwire.StatusResponse{
			Replicas: []operatorwire.Replica{
				{
					Service: "auth", Replica: "a1", Version: "v1.2.3", StartedAt: now.Add(-72 * time.Hour), Ready: true,
					LogLevel: "info", Checks: []operatorwire.Check{{Name: "nats", Critical: true, OK: true}},
				},
				{
					Service: "fanout", Replica: "f1", Version: "v1.2.4", StartedAt: now.Add(-90 * time.Minute),
					LogLevel: "debug", LogLevelUntil: now.Add(9 * time.Minute),
					Checks: []operatorwire.Check{{Name: "event_feed", Reason: "no source\nis read"}},
				},
			},
			Silent: []string{"ingress"},
		},
		"GET /api/operator/sessions": operatorwire.SessionsResponse{
			Sessions: []operatorwire.Session{session, {ID: "s2", User: authwire.User{Email: "b@example.com"}}},
			Next:     "p2",
		},
		"GET /api/operator/sessions/s1":         session,
		"POST /api/operator/sessions/s1/revoke": operatorwire.RevokeResponse{Revoked: 1},
		"POST /api/operator/sessions/revoke":    operatorwire.RevokeResponse{Revoked: 3},
		"GET /api/operator/streams": operatorwire.StreamsResponse{Total: 1, Streams: []operatorwire.Stream{{
			ClientID: "c1", User: "id:7", Email: "ada@example.com", SessionID: "s1", Transport: "sse", Replica: "f1",
			Since: now.Add(-25 * time.Minute), Frames: 2, Bytes: 4096,
		}}},
		"POST /api/operator/streams/c1/close": operatorwire.CloseStreamResponse{Closed: 2},
		"GET /api/operator/requests":          operatorwire.RequestsResponse{Requests: []operatorwire.Request{request}},
		"GET /api/operator/requests/r1": operatorwire.RequestDetail{
			Request: request, Connected: true, TraceID: "0af7651916cd43dd8448eb211c80319c",
			Frames: []operatorwire.Frame{{ID: "1-5-c1", Event: "playbook/progress", Bytes: 120}},
		},
		"GET /api/operator/subscriptions": operatorwire.SubscriptionsResponse{
			Subscriptions: []operatorwire.Subscription{{
				ID: "u1", ClientID: "c1", User: "id:7", Source: "kv", Path: "boards/1/**", Replica: "f1",
				CreatedAt: now.Add(-2 * time.Minute),
			}},
		},
		"POST /api/operator/subscriptions/u1/close": nil,
		"GET /api/operator/tools": operatorwire.ToolsResponse{
			Enabled: true, Total: 2, Replicas: []string{"e1"}, Silent: []string{"e2"},
			Calls: []operatorwire.Call{
				{
					Kind: operatorwire.KindCall, Tool: "demo__slow", Path: "demo/\x1b[31mslow", User: "id:7",
					ExecutionID: "77", Since: now.Add(-42 * time.Second), Replica: "e1",
				},
				{Kind: operatorwire.KindListen, User: "id:8", Since: now.Add(-time.Hour), Replica: "e1"},
			},
			Tools: []operatorwire.ToolCount{
				{Tool: "demo__slow", Path: "demo/slow", Calls: 5, Errors: 1, Tasks: 2, MeanSeconds: 61.25},
				{Tool: operatorwire.OtherTools, Calls: 1, Tasks: 1},
			},
		},
		"POST /api/operator/log-level": operatorwire.LogLevelResponse{Replicas: levels},
	}
	var log strings.Builder
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		log.WriteString(strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)) + "\n")
		answer, ok := answers[r.Method+" "+r.URL.Path]
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"there is no such thing","code":"not_found"}`)
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			_ = json.NewEncoder(w).Encode(answer)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, log.String
}

func TestVerbsOfARunningGateway(t *testing.T) {
	t.Parallel()
	url, asked := operators(t)
	cfg := operatorcli.Config{URL: url, Token: token}
	var got strings.Builder
	for _, line := range []string{
		"status", "sessions list", "sessions list --user id:7 --limit 2 --cursor p1", "sessions show s1",
		"sessions revoke s1", "sessions revoke --user email:ada@example.com", "streams list",
		"streams list --replica f1 --user id:7", "streams close c1", "requests list", "requests list --ended",
		"requests show r1", "subscriptions list", "subscriptions close u1", "log-level set auth debug --for 10m",
		"log-level set all warn", "tools",
		"sessions show s9", "sessions revoke", "sessions revoke s1 --user id:7", "sessions list --limit 5000",
		"log-level set auth loud", "log-level set database debug", "log-level set auth debug --for 48h",
		"log-level set auth debug --for 1500ms",
		"log-level set auth", "streams close",
	} {
		for _, as := range []string{"", " --json"} {
			out, err := verbs(cfg, strings.Fields(line+as)...)
			if as != "" && err != nil {
				continue // it says the same
			}
			got.WriteString("$ noetl-gateway " + line + as + "\n" + out)
			if err != nil {
				got.WriteString("exit code " + err.Error() + "\n")
			}
		}
	}
	got.WriteString("\nasked:\n" + asked())
	if strings.Contains(got.String(), token) || strings.Contains(got.String(), "\x1b") {
		t.Error("the token, or an escape sequence, is printed")
	}
	path := filepath.Join("testdata", "operate.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got; UPDATE_GOLDEN=1 writes it)\n%s", diff)
	}
}

// pager answers a list of streams of any length, and counts what was read of it when the last page was asked for.
type pager struct {
	total  int
	pages  atomic.Int64
	lines  atomic.Int64 // printed
	before int64        // printed when the last page was asked for
}

func (p *pager) Write(b []byte) (int, error) {
	p.lines.Add(int64(strings.Count(string(b), "\n")))
	return len(b), nil
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.pages.Add(1)
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	at, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	page := operatorwire.StreamsResponse{Total: p.total}
	for ; limit > 0 && at < p.total; limit, at = limit-1, at+1 {
		page.Streams = append(page.Streams, operatorwire.Stream{ClientID: fmt.Sprintf("client-%06d", at), User: "id:7"})
	}
	if page.Next = strconv.Itoa(at); at >= p.total {
		page.Next, p.before = "", p.lines.Load()
	}
	_ = json.NewEncoder(w).Encode(page)
}

// Whoever lists everything holds a page of it, and sees the beginning before the end is asked for.
func TestAllPagesAreStreamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args         string
		total        int
		pages, lines int64
	}{{"streams list --all", 100_000, 100, 100_002}, {"streams list --all --json", 20_000, 20, 20}} {
		p := &pager{total: c.total}
		srv := httptest.NewServer(p)
		t.Cleanup(srv.Close)
		var errs strings.Builder
		code := program(operatorcli.Config{URL: srv.URL, Token: token}).Main(strings.Fields(c.args), p, &errs)
		if code != 0 || p.pages.Load() != c.pages || p.lines.Load() != c.lines || p.before < c.lines*9/10 {
			t.Errorf("%s: %d pages, %d lines, %d before the last page: %d %s", c.args, p.pages.Load(), p.lines.Load(),
				p.before, code, errs.String())
		}
	}
	again := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(operatorwire.StreamsResponse{Next: "same"})
	}))
	t.Cleanup(again.Close)
	if _, err := verbs(operatorcli.Config{URL: again.URL, Token: token}, "streams", "list", "--all"); err == nil ||
		!strings.Contains(err.Error(), "the same page again") {
		t.Errorf("a gateway that answers one page forever: %v", err)
	}
}
