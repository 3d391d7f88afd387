package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

const token = "session-token+1/2"

// sessions knows one token.
type sessions struct{}

// Resolve implements httpapi.SessionResolver.
func (sessions) Resolve(_ context.Context, got authwire.Token) (*authwire.Session, error) {
	if got.Reveal() != token {
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
	return &authwire.Session{User: authwire.User{UserID: 7}}, nil
}

// authRoutes are the routes on a fake auth service; authCalls limits an address, nil does not.
func authRoutes(auth edge.Auth, authCalls *kit.Rates) (http.Handler, *edgetest.Near) {
	near := &edgetest.Near{}
	mux := http.NewServeMux()
	httpapi.New(httpapi.Config{
		Service:  edge.New(edge.Deps{Auth: auth, Near: near, Logger: slog.New(slog.DiscardHandler)}),
		Sessions: sessions{}, AuthCalls: authCalls,
	}).Register(mux)
	origins := weborigin.New(weborigin.Config{Credentials: true}, http.MethodGet, http.MethodPost)
	return origins.Wrap(mux), near
}

func ask(t *testing.T, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func cookies(t *testing.T, rec *httptest.ResponseRecorder) map[string]*http.Cookie {
	t.Helper()
	found := map[string]*http.Cookie{}
	for _, c := range rec.Result().Cookies() {
		found[c.Name] = c
	}
	return found
}

// hostOnly reports whether a browser takes a __Host- cookie and keeps it from scripts.
func hostOnly(c *http.Cookie) bool {
	return c != nil && c.HttpOnly && c.Secure && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == ""
}
