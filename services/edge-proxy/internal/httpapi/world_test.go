package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
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

// ofOperator is the session token of somebody who runs things.
const ofOperator = "session-token-of-an-operator"

// sessions knows two tokens.
type sessions struct{}

// Resolve implements httpapi.SessionResolver.
func (sessions) Resolve(_ context.Context, got authwire.Token) (*authwire.Session, error) {
	switch got.Reveal() {
	case token:
		return &authwire.Session{User: authwire.User{UserID: 7}}, nil
	case ofOperator:
		return &authwire.Session{User: authwire.User{UserID: 8, Roles: []string{"ops"}}}, nil
	default:
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
}

// authRoutes are the routes on a fake auth service; authCalls limits an address, nil does not.
func authRoutes(t *testing.T, auth edge.Auth, authCalls *kit.Rates) (http.Handler, *edgetest.Near) {
	t.Helper()
	table, err := edge.NewTable("test", nil, []string{"ops"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	near := &edgetest.Near{}
	mux := http.NewServeMux()
	api := httpapi.New(httpapi.Config{
		Service:  edge.New(edge.Deps{Auth: auth, Near: near, Table: table, Logger: slog.New(slog.DiscardHandler)}),
		Sessions: sessions{}, AuthCalls: authCalls,
	})
	api.Register(mux)
	api.RegisterMe(mux)
	origins := weborigin.New(weborigin.Config{Credentials: true}, http.MethodGet, http.MethodPost)
	return origins.Wrap(mux), near
}
