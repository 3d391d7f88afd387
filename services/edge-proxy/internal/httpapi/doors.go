// Package httpapi is the public door of the gateway.
package httpapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
)

// SessionResolver answers whose session a token is.
type SessionResolver interface {
	// Resolve returns the session, or the fault Unauthenticated or Unavailable.
	Resolve(ctx context.Context, token string) (*authwire.Session, error)
}

type callerKey struct{}

// callerOf finds the caller that [Doors.Protect] put into the context.
func callerOf(ctx context.Context) (edge.Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(edge.Caller)
	return c, ok
}

// CallerOf is [callerOf] for the GraphQL door.
func CallerOf(ctx context.Context) (edge.Caller, bool) { return callerOf(ctx) }

// Doors builds the routes that clients call.
type Doors struct {
	Set      endpoints.Set
	Sessions SessionResolver
	MaxBody  int64
}

// maxAuthBody bounds the body of an authentication call, in bytes: a token or two.
const maxAuthBody = 64 << 10

// Protect lets requests with a live session pass and puts the caller into their context.
func (d *Doors) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := sessions.TokenOf(r)
		session, err := d.Sessions.Resolve(r.Context(), token)
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, edge.Caller{Session: session, Token: token})))
	})
}

// Auth adds the routes of section 1 that authenticate.
func (d *Doors) Auth(mux *http.ServeMux) {
	mux.Handle("POST /api/auth/login", httpkit.Mount(d.Set.Login, decodeLogin, httpkit.JSON))
	mux.Handle("POST /api/auth/validate", httpkit.Mount(d.Set.Validate, httpkit.DecodeJSON[authwire.ValidateRequest](maxAuthBody), httpkit.JSON))
	mux.Handle("POST /api/auth/check-access", httpkit.Mount(d.Set.CheckAccess, httpkit.DecodeJSON[authwire.CheckAccessRequest](maxAuthBody), httpkit.JSON))
	mux.Handle("POST /api/auth/logout", httpkit.Mount(d.Set.Logout, func(r *http.Request) (authwire.LogoutRequest, error) {
		return authwire.LogoutRequest{SessionToken: sessions.TokenOf(r)}, nil
	}, func(_ context.Context, w http.ResponseWriter, _ authwire.LogoutResponse) error {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}))
}

// GraphQL adds POST /graphql.
func (d *Doors) GraphQL(mux *http.ServeMux, graph http.Handler) {
	mux.Handle("POST /graphql", d.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The body is read here, and not by gqlgen, so that one that is too large, breaks off or
		// has another shape is answered as everywhere else, and not quoted back.
		body, err := httpkit.ReadBody(r, d.MaxBody)
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		var shape struct {
			Query         string         `json:"query"`
			OperationName *string        `json:"operationName"`
			Variables     map[string]any `json:"variables"`
			Extensions    map[string]any `json:"extensions"`
		}
		if err := httpkit.CheckJSON(r, body, &shape); err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		graph.ServeHTTP(w, r)
	})))
}

func decodeLogin(r *http.Request) (authwire.LoginRequest, error) {
	in, err := httpkit.DecodeJSON[authwire.LoginRequest](maxAuthBody)(r)
	if in.ClientIP == "" {
		in.ClientIP = remoteIP(r)
	}
	if in.ClientUserAgent == "" {
		in.ClientUserAgent = r.UserAgent()
	}
	return in, err
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
