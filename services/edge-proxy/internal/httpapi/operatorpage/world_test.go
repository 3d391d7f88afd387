package operatorpage_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operatorpage"
)

// The tokens that are known, and whose they are.
const (
	operatorToken = "token-of-an-operator"
	otherToken    = "token-of-another-operator"
	userToken     = "token-of-a-user"
)

type sessions struct{}

// Resolve implements httpapi.SessionResolver.
func (sessions) Resolve(_ context.Context, got authwire.Token) (*authwire.Session, error) {
	switch got.Reveal() {
	case operatorToken:
		return &authwire.Session{User: authwire.User{UserID: 7, Email: "ops@example.com", Roles: []string{"ops"}}}, nil
	case otherToken:
		return &authwire.Session{User: authwire.User{UserID: 9, Roles: []string{"ops"}}}, nil
	case userToken:
		return &authwire.Session{User: authwire.User{UserID: 8, Roles: []string{"user"}}}, nil
	default:
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
}

// world is the pages of a gateway in memory.
type world struct {
	h       http.Handler
	gateway *edgetest.Operations
}

// sessionID is the id of a session in the lists.
func sessionID(token string) string { return authwire.NewToken(token).Key().String() }

func newWorld(t *testing.T) *world {
	t.Helper()
	table, err := edge.NewTable("test", nil, []string{"ops"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{gateway: &edgetest.Operations{}}
	svc := edge.New(edge.Deps{
		Operations: w.gateway, Deliveries: &edgetest.Deliveries{}, Table: table, Logger: slog.New(slog.DiscardHandler),
	})
	mux := http.NewServeMux()
	operatorpage.Register(mux, operatorpage.Deps{
		API: httpapi.New(httpapi.Config{Service: svc, Sessions: sessions{}}), Service: svc,
		Activity: edge.NewActivity(&edgetest.Deliveries{}),
	})
	w.h = mux
	return w
}

// runs fills the world with a gateway that has something of everything.
func (w *world) runs() {
	since := time.Now().Add(-3 * time.Minute)
	ada := authwire.User{UserID: 7, Email: "ops@example.com", Roles: []string{"ops"}}
	bob := authwire.User{UserID: 8, Email: "bob@example.com", Roles: []string{"user"}}
	w.gateway.Change(func(o *edgetest.Operations) {
		o.Replicas = []operatorwire.Replica{
			{
				Service: "edge", Replica: "e1", Version: "v1.2.3", StartedAt: since, Ready: true, LogLevel: "info",
				Checks:   []operatorwire.Check{{Name: "nats", Critical: true, OK: true}},
				Counters: map[string]float64{"calls": 1200, "errors": 2},
			},
			{
				Service: "fanout", Replica: "f1", Version: "v1.2.3", StartedAt: since, Ready: true, LogLevel: "info",
				Counters: map[string]float64{"frames": 40, "streams": 2},
			},
			{
				Service: "fanout", Replica: "f2", Version: "v1.2.3", StartedAt: since, Ready: true, LogLevel: "info",
				Counters: map[string]float64{"frames": 2, "streams": 1},
			},
		}
		o.Sessions = []operatorwire.Session{
			{ID: sessionID(operatorToken), User: ada, CreatedAt: since, ExpiresAt: since.Add(8 * time.Hour)},
			{
				ID: sessionID("bob"), User: bob, Issuer: "https://id.example.com/", CreatedAt: since,
				ExpiresAt: since.Add(8 * time.Hour),
			},
		}
		o.Streams = []operatorwire.Stream{
			{
				ClientID: "client-1", User: "id:7", Email: "ops@example.com", SessionID: sessionID(operatorToken),
				Transport: "sse", Replica: "f1", Since: since,
			},
			{
				ClientID: "client-2", User: "id:8", Email: "bob@example.com", SessionID: sessionID("bob"),
				Transport: "websocket", Replica: "f2", Since: since, Frames: 3, Bytes: 4567,
			},
		}
		o.Requests = []operatorwire.RequestDetail{
			{
				Request: operatorwire.Request{
					ID: "request-1", ClientID: "client-2", User: "id:8", SessionID: sessionID("bob"), State: "pending",
					ExecutionID: "4711", Playbook: "demo/slow", CreatedAt: since,
				},
				Connected: true, TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
				Frames: []operatorwire.Frame{{ID: "e-17-client-2", Event: "playbook/progress", Bytes: 321}},
			},
			{Request: operatorwire.Request{
				ID: "request-2", ClientID: "client-1", User: "id:7", State: "ended", Ended: "execution.failed",
				Playbook: "demo/fail", CreatedAt: since,
			}},
		}
		o.Subscriptions = []operatorwire.Subscription{{
			ID: "sub-1", ClientID: "client-2", User: "id:8", Source: "firestore", Path: "threads/17", CreatedAt: since,
			Replica: "f1",
		}}
		o.ToolCalls = operatorwire.ToolsResponse{
			Enabled: true, Total: 3, Replicas: []string{"e1"},
			Calls: []operatorwire.Call{
				{
					Kind: operatorwire.KindCall, Tool: "demo__slow", Path: "demo/slow", User: "id:7",
					ExecutionID: "4711", Since: since, Replica: "e1",
				},
				{Kind: operatorwire.KindListen, User: "id:8", Since: since, Replica: "e1"},
			},
			Tools: []operatorwire.ToolCount{
				{Tool: "demo__slow", Path: "demo/slow", Calls: 1200, Errors: 3, Tasks: 200, MeanSeconds: 61.25},
				{Tool: "demo__task", Path: "demo/task", Calls: 2, Tasks: 2},
				{Tool: operatorwire.OtherTools, Calls: 1, MeanSeconds: 0.25},
			},
		}
	})
}

type answer struct {
	status int
	header http.Header
	body   string
}

// send sends what a browser does; more are further headers.
func (w *world) send(method, path, token, body string, more ...string) answer {
	r := httptest.NewRequestWithContext(
		context.Background(), method, "http://ops.example"+path, strings.NewReader(body),
	)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if token != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-session", Value: token})
	}
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

func (w *world) get(path string) answer { return w.send(http.MethodGet, path, operatorToken, "") }

func (w *world) post(path, token string, form url.Values, more ...string) answer {
	return w.send(http.MethodPost, path, token, form.Encode(),
		append([]string{"Content-Type", "application/x-www-form-urlencoded"}, more...)...)
}

// has fails the test unless a page has all the texts.
func (a answer) has(t *testing.T, what string, texts ...string) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Errorf("%s: %d %s", what, a.status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s: no %q on %s", what, text, a.body)
		}
	}
}

// hasNot fails the test if a page has one of the texts.
func (a answer) hasNot(t *testing.T, what string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("%s: %q is on %s", what, text, a.body)
		}
	}
}

var formTokens = regexp.MustCompile(`name="token" value="([^"]+)"`)

// formToken reads the token of the form that confirms.
func (a answer) formToken(t *testing.T) string {
	t.Helper()
	m := formTokens.FindStringSubmatch(a.body)
	if m == nil || !strings.Contains(a.body, `data-testid="confirm-form"`) {
		t.Fatalf("no form on %d %s", a.status, a.body)
	}
	return m[1]
}
