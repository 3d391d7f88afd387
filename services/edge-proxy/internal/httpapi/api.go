// Package httpapi is the public listener of the gateway: who calls, how often they may, and the routes that
// authenticate. What is behind a session has packages of its own: proxy, graphql and browserlogin.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// SessionResolver answers whose session a token is.
type SessionResolver interface {
	// Resolve returns the session, or the fault Unauthenticated or Unavailable.
	Resolve(ctx context.Context, token authwire.Token) (*authwire.Session, error)
}

// Config is what the routes need.
type Config struct {
	Service  *edge.Service
	Observer kit.Observer
	Sessions SessionResolver
	// PerSession limits the calls of one session; nil does not.
	PerSession *kit.Rates
	// Logins and AuthCalls limit what an address may ask of the auth service; nil does not.
	Logins, AuthCalls *kit.Rates
	// Logger gets the audit lines of logins that do not reach the auth service; nil writes none.
	Logger *slog.Logger
}

// API is the routes that authenticate, and what all routes of the listener ask about their callers. It is safe for
// concurrent use.
type API struct {
	Config
	logout func(context.Context, authwire.LogoutRequest) (authwire.LogoutResponse, error)
}

// New makes the API.
func New(c Config) *API {
	return &API{Config: c, logout: kit.Bind(c.Observer, "edge.logout", AuthLimits(), c.Service.Logout)}
}

// Public is the top of the public listener. The proxy is chosen before the mux sees the path:
// the mux would clean it and redirect, and what was meant must be judged as it was sent.
func Public(routes, proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.EscapedPath(); strings.HasPrefix(path, "/noetl/") {
			r.Pattern = "/noetl/{path...}" // names the span and bounds its cardinality
			proxy.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

type callerKey struct{}

type tokenKey struct{}

// CallerOf finds who calls: what [API.Protect] put into the context, or, on a WebSocket, whose
// session the token of its beginning is now.
func (a *API) CallerOf(ctx context.Context) (edge.Caller, error) {
	if c, ok := ctx.Value(callerKey{}).(edge.Caller); ok {
		return c, nil
	}
	token, _ := ctx.Value(tokenKey{}).(authwire.Token)
	session, err := a.Sessions.Resolve(ctx, token)
	if err != nil {
		return edge.Caller{}, err
	}
	return edge.Caller{Session: session, Token: token}, nil
}

// Count counts n calls of a GraphQL operation, and rejects the operation when its session makes too many. Over HTTP the
// request itself has been counted as one.
func (a *API) Count(ctx context.Context, caller edge.Caller, n int) error {
	if _, counted := ctx.Value(callerKey{}).(edge.Caller); counted {
		n--
	}
	key := caller.Token.Key()
	return a.PerSession.CheckN(string(key[:]), n)
}

// WithToken puts the session token of an upgrade request where [API.Authenticate] finds it.
func WithToken(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), tokenKey{}, sessions.TokenOf(r)))
}

// Authenticate lets a WebSocket begin: text is the token that its first message held, or "" if its
// request held one.
func (a *API) Authenticate(ctx context.Context, text string) (context.Context, error) {
	token := authwire.NewToken(text)
	if token.IsZero() {
		token, _ = ctx.Value(tokenKey{}).(authwire.Token)
	}
	if _, err := a.identify(ctx, token); err != nil {
		return ctx, err
	}
	live, end := context.WithCancel(context.WithValue(ctx, tokenKey{}, token))
	go func() {
		defer end()
		WhileLive(live, a.Sessions, token, nil)
	}()
	return live, nil
}

// Identify finds out who calls, and whether they call too often.
func (a *API) Identify(r *http.Request) (edge.Caller, error) {
	return a.identify(r.Context(), sessions.TokenOf(r))
}

// IdentifyToken is [API.Identify] for a token that was read elsewhere.
func (a *API) IdentifyToken(ctx context.Context, token authwire.Token) (edge.Caller, error) {
	return a.identify(ctx, token)
}

func (a *API) identify(ctx context.Context, token authwire.Token) (edge.Caller, error) {
	session, err := a.Sessions.Resolve(ctx, token)
	if err != nil {
		return edge.Caller{}, err
	}
	httpkit.NoteUser(ctx, session.Owner())
	if a.PerSession != nil {
		key := token.Key()
		if err := a.PerSession.Check(string(key[:])); err != nil {
			return edge.Caller{}, err
		}
	}
	return edge.Caller{Session: session, Token: token}, nil
}

// Protect lets requests with a live session pass and puts the caller into their context.
func (a *API) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.Identify(r)
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}
