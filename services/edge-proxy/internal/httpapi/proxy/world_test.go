package proxy_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/routesfile"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

const (
	token   = "session-token+1/2"
	origin  = "http://localhost:3000"
	maxBody = 32 << 10
)

// sessions knows one token.
type sessions struct{}

// Resolve implements httpapi.SessionResolver.
func (sessions) Resolve(_ context.Context, got authwire.Token) (*authwire.Session, error) {
	if got.Reveal() != token {
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
	return &authwire.Session{
		User: authwire.User{UserID: 7, Email: "é@example.com\r\nX-Evil: 1", Roles: []string{"user", "admin"}},
	}, nil
}

// ending is a session that ends.
type ending struct{ over atomic.Bool }

// Resolve implements httpapi.SessionResolver.
func (e *ending) Resolve(context.Context, authwire.Token) (*authwire.Session, error) {
	if e.over.Load() {
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "over")
	}
	return &authwire.Session{}, nil
}

// passes lets every call pass.
type passes struct{}

// Pass implements proxy.Authority.
func (passes) Pass(context.Context, edge.Call) (edge.Passage, error) { return edge.Passage{}, nil }

// noStarts lets nothing start.
type noStarts struct{}

// Pass implements proxy.Authority.
func (noStarts) Pass(_ context.Context, in edge.Call) (edge.Passage, error) {
	if in.Path == "/api/execute" {
		return edge.Passage{}, fault.New(fault.Denied, "execute_denied", "no")
	}
	return edge.Passage{}, nil
}

// ruled is what the built-in table makes of calls, with the fakes behind it.
type ruled struct {
	*edge.Service
	auth  *edgetest.Auth
	noetl *noetltest.Server
}

func rule(tb testing.TB, change ...func(*edge.Deps)) ruled {
	tb.Helper()
	r := ruled{auth: &edgetest.Auth{}, noetl: edgetest.NewNoETL(&edgetest.Journal{})}
	table, err := routesfile.Load(routesfile.Options{OperatorRoles: []string{"admin", "developer"}})
	if err != nil {
		tb.Fatal(err)
	}
	r.auth.Know(token, authwire.User{UserID: 7})
	deps := edge.Deps{
		Auth:       r.auth,
		NoETL:      r.noetl,
		Catalog:    r.noetl,
		Executions: r.noetl,
		Origins:    &edgetest.Origins{},
		Logger:     quiet(),
		Table:      table,
		Enforce:    edge.EnforceOff,
		Reserved:   noetlwire.Reserved{"own/login"},
	}
	for _, c := range change {
		c(&deps)
	}
	r.Service = edge.New(deps)
	return r
}

// front serves a proxy to an upstream with everything that stands before it.
func front(t *testing.T, upstream string, change ...func(*proxy.Config)) *httptest.Server {
	t.Helper()
	base, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	tel := telemetry.Nop("test")
	cfg := proxy.Config{
		Base:      base,
		MaxBody:   maxBody,
		Logger:    slog.New(slog.DiscardHandler),
		Transport: noetl.ProxyTransport(tel, noetl.WithHeaderTimeout(5*time.Second)),
		Authority: passes{},
	}
	api := httpapi.New(httpapi.Config{Sessions: sessions{}})
	cfg.Identify = api.Identify
	for _, c := range change {
		c(&cfg)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", httpkit.NotFound)
	h := weborigin.New(
		weborigin.Config{Origins: []string{origin}, Credentials: true}, "GET", "POST", "PUT", "PATCH", "DELETE",
	).
		Wrap(httpapi.Public(mux, proxy.New(cfg)))
	srv := httptest.NewServer(httpkit.Edge(tel, h))
	t.Cleanup(srv.Close)
	return srv
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// upstream serves a NoETL of the test.
func upstream(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

type answer struct {
	status int
	header http.Header
	body   string
}

// request makes an authenticated request; headers are name, value pairs.
func request(t *testing.T, method, target string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

func do(t *testing.T, req *http.Request) answer {
	t.Helper()
	got, err := testkit.Send(testkit.Direct, req)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.Code, got.Header, strings.TrimSpace(got.Body)}
}

func send(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	return do(t, request(t, method, target, strings.NewReader(body), headers...))
}

func (a answer) refused(t *testing.T, what string, status int, code string) {
	t.Helper()
	var body httpkit.ErrorBody
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != status || body.Code != code ||
		body.Error == "" {
		t.Errorf("%s: %d %s, want %d %s", what, a.status, a.body, status, code)
	}
}
