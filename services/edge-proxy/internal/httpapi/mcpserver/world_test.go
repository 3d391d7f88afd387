package mcpserver_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/mcpserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

const resource = "https://gateway.example.com/mcp"

// box is a toolbox of a few tools, each of a path that is its name.
type box struct {
	mu      sync.Mutex
	names   []string
	version string
}

func tool(name string) tools.Tool {
	return tools.Tool{
		Name: name, Path: "demo/" + name, Kind: "playbook", Title: name, Description: "It is " + name + ".",
		Input: json.RawMessage(`{"type":"object","properties":{"bad":{"type":"boolean"}}}`),
	}
}

func (b *box) List(_ context.Context, in tools.ListRequest) (tools.ListResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := 0
	if in.Cursor != "" {
		if at = slices.Index(b.names, in.Cursor); at < 0 {
			return tools.ListResponse{}, fault.New(fault.Invalid, "bad_cursor", "the cursor is none of this list")
		}
	}
	out := tools.ListResponse{}
	for i := at; i < len(b.names); i++ {
		if len(out.Tools) == 2 {
			out.Next = b.names[i]
			break
		}
		out.Tools = append(out.Tools, tool(b.names[i]))
	}
	return out, nil
}

func (b *box) Find(_ context.Context, _ edge.Caller, name string) (tools.Tool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.names, name) {
		return tools.Tool{}, fault.New(fault.NotFound, "unknown_tool", "there is no such tool")
	}
	return tool(name), nil
}

func (b *box) Version(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version, nil
}

// world is an endpoint with one user, whose session is "s-1" and whose access tokens are "at:<scope>,<scope>".
type world struct {
	*httptest.Server
	engine  *toolstest.Engine
	box     *box
	server  *mcpserver.Server
	closing context.CancelFunc
	log     *testkit.Log

	mu      sync.Mutex
	revoked bool
}

func newWorld(t *testing.T, change ...func(*mcpserver.Deps)) *world {
	t.Helper()
	closing, end := context.WithCancel(context.Background())
	w := &world{
		engine: &toolstest.Engine{Run: behave}, closing: end, log: &testkit.Log{},
		box: &box{names: []string{"echo", "fail", "progress", "silent", "slow"}, version: "1"},
	}
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	calls := tools.NewCalls(tools.CallsDeps{
		Gateway: w.engine, Executions: toolstest.Canceller{Engine: w.engine}, Frames: w.engine, Logger: logger,
		Endings: toolstest.EngineEndings{Engine: w.engine},
		NewID:   uuid.NewString,
	})
	deps := mcpserver.Deps{
		Tools: w.box, Calls: calls, Observer: kit.Observer{Logger: logger}, Identify: w.identify, Live: w.live,
		IsAccessToken: func(text string) bool { return strings.HasPrefix(text, "at:") },
		Bearer: func(_ context.Context, text, _, _ string) (authwire.Token, []string, error) {
			scopes := strings.FieldsFunc(strings.TrimPrefix(text, "at:"), func(r rune) bool { return r == ',' })
			return authwire.NewToken("s-1"), scopes, nil
		},
		AllowOrigin: func(r *http.Request) bool {
			return r.Header.Get("Origin") == "" || r.Header.Get("Origin") == "https://app.example.com"
		},
		Resource: resource, Issuers: []string{"https://issuer.example.com"},
		ReadScope: "playbooks:read", ExecuteScope: "playbooks:execute",
		PerUser: kit.NewRates(6000, 600), PerTool: kit.NewRates(6000, 600), MaxCalls: 20, MaxCallsUser: 10,
		Version: "v1", Logger: logger, Registry: prometheus.NewRegistry(), Closing: closing,
	}
	for _, f := range change {
		f(&deps)
	}
	var err error
	if w.server, err = mcpserver.New(deps); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	w.server.Register(mux)
	w.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		end()
		w.Close()
		calls.Close()
	})
	return w
}

func (w *world) identify(_ context.Context, token authwire.Token) (edge.Caller, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if token.Reveal() != "s-1" || w.revoked {
		return edge.Caller{}, fault.New(fault.Unauthenticated, "invalid_session", "the session is invalid or expired")
	}
	return edge.Caller{Session: &authwire.Session{User: authwire.User{UserID: 7}}, Token: token}, nil
}

func (w *world) live(ctx context.Context, token authwire.Token) {
	for ctx.Err() == nil {
		if _, err := w.identify(ctx, token); err != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *world) revoke() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revoked = true
}

// behave is what the playbooks of the world do.
func behave(x *toolstest.Execution) {
	switch x.Request.Name {
	case "demo/echo":
		x.Complete(x.Request.Variables)
	case "demo/fail":
		x.Fail("the warehouse is closed")
	case "demo/progress":
		for i, value := range []float64{0.25, 0.5, 0.5, 0.4, 1} {
			x.Report(value, "step "+string(rune('1'+i)))
		}
		x.Complete(map[string]any{"done": true})
	case "demo/silent":
		x.End("COMPLETED", "playbook.completed")
	}
}

// client connects the SDK's client.
func (w *world) client(t *testing.T, opts *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, opts)
	session, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: w.URL + mcpserver.Path, HTTPClient: &http.Client{Transport: bearer("s-1")},
		DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}
