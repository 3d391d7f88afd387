// Package httpapi is the public door of the gateway.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
)

// SessionResolver answers whose session a token is.
type SessionResolver interface {
	// Resolve returns the session, or the fault Unauthenticated or Unavailable.
	Resolve(ctx context.Context, token authwire.Token) (*authwire.Session, error)
}

type callerKey struct{}

type tokenKey struct{}

// CallerOf finds who calls: what [Doors.Protect] put into the context, or, on a WebSocket, whose
// session the token of its beginning is now.
func (d *Doors) CallerOf(ctx context.Context) (edge.Caller, error) {
	if c, ok := ctx.Value(callerKey{}).(edge.Caller); ok {
		return c, nil
	}
	token, _ := ctx.Value(tokenKey{}).(authwire.Token)
	session, err := d.Sessions.Resolve(ctx, token)
	if err != nil {
		return edge.Caller{}, err
	}
	return edge.Caller{Session: session, Token: token}, nil
}

// Count counts n calls of a GraphQL operation, and refuses the operation when its session makes too many. Over HTTP the
// request itself has been counted as one.
func (d *Doors) Count(ctx context.Context, caller edge.Caller, n int) error {
	if _, counted := ctx.Value(callerKey{}).(edge.Caller); counted {
		n--
	}
	key := caller.Token.Key()
	return d.PerSession.CheckN(string(key[:]), n)
}

// Authenticate lets a WebSocket begin: text is the token that its first message held, or "" if its
// request held one.
func (d *Doors) Authenticate(ctx context.Context, text string) (context.Context, error) {
	token := authwire.NewToken(text)
	if token.IsZero() {
		token, _ = ctx.Value(tokenKey{}).(authwire.Token)
	}
	if _, err := d.identify(ctx, token); err != nil {
		return ctx, err
	}
	live, end := context.WithCancel(context.WithValue(ctx, tokenKey{}, token))
	go func() {
		defer end()
		whileLive(live, d.Sessions, token, nil)
	}()
	return live, nil
}

// Doors builds the routes that clients call.
type Doors struct {
	Set      endpoints.Set
	Sessions SessionResolver
	MaxBody  int64
	// PerSession limits the calls of one session; nil does not.
	PerSession *kit.Rates
	// Logins and AuthCalls limit what an address may ask of the auth service; nil does not.
	Logins, AuthCalls *kit.Rates
	// Logger gets the audit lines of logins that do not reach the auth service; nil writes none.
	Logger *slog.Logger
}

// PerAddress refuses the calls of an address that makes too many. It needs [httpkit.Proxies.Wrap]
// around it. Health, partners' deliveries (their listener limits them) and workers' callbacks
// come from few addresses by nature and do not count.
func PerAddress(rates *kit.Rates, next http.Handler) http.Handler {
	if rates == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/health",
			path == "/healthz",
			path == "/readyz",
			strings.HasPrefix(path, "/ingress/"),
			strings.HasPrefix(path, "/api/internal/"):
		default:
			if err := rates.Check(httpkit.AddressKey(httpkit.ClientOf(r.Context()))); err != nil {
				httpkit.WriteError(r.Context(), w, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// authCall refuses the auth calls of an address that makes too many, but not those that show a session: what others
// behind the same address send must not keep anybody from logging out.
func (d *Doors) authCall(next http.Handler) http.Handler {
	if d.AuthCalls == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if limited := d.AuthCalls.Check(httpkit.AddressKey(httpkit.ClientOf(r.Context()))); limited != nil {
			if _, err := d.Identify(r); err != nil {
				httpkit.WriteError(r.Context(), w, limited)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// perLogin refuses the logins of an address that makes too many.
func (d *Doors) perLogin(next http.Handler) http.Handler {
	if d.Logins == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.Logins.Check(httpkit.AddressKey(httpkit.ClientOf(r.Context()))); err != nil {
			if d.Logger != nil {
				d.Logger.InfoContext(r.Context(), "audit",
					"event", "login_refused", "account", "", "reason", fault.Of(err).Code)
			}
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maxAuthBody bounds the body of an authentication call, in bytes: a token or two.
const maxAuthBody = 64 << 10

// Identify finds out who calls, and whether they call too often.
func (d *Doors) Identify(r *http.Request) (edge.Caller, error) {
	return d.identify(r.Context(), sessions.TokenOf(r))
}

func (d *Doors) identify(ctx context.Context, token authwire.Token) (edge.Caller, error) {
	session, err := d.Sessions.Resolve(ctx, token)
	if err != nil {
		return edge.Caller{}, err
	}
	if d.PerSession != nil {
		key := token.Key()
		if err := d.PerSession.Check(string(key[:])); err != nil {
			return edge.Caller{}, err
		}
	}
	return edge.Caller{Session: session, Token: token}, nil
}

// Protect lets requests with a live session pass and puts the caller into their context.
func (d *Doors) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := d.Identify(r)
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// Auth adds the routes of section 1 that authenticate.
func (d *Doors) Auth(mux *http.ServeMux) {
	mux.Handle("POST /api/auth/login", d.perLogin(http.HandlerFunc(d.login)))
	validate := httpkit.Mount(d.Set.Validate, httpkit.DecodeJSON[authwire.ValidateRequest](maxAuthBody), httpkit.JSON)
	mux.Handle("POST /api/auth/validate", d.authCall(validate))
	access := httpkit.Mount(
		d.Set.CheckAccess, httpkit.DecodeJSON[authwire.CheckAccessRequest](maxAuthBody), httpkit.JSON,
	)
	mux.Handle("POST /api/auth/check-access", d.authCall(access))
	mux.Handle("POST /api/auth/logout", d.authCall(http.HandlerFunc(d.logout)))
}

// login opens a session, and ends the earlier one of a browser that logs in again.
func (d *Doors) login(w http.ResponseWriter, r *http.Request) {
	answer := func(ctx context.Context, w http.ResponseWriter, out authwire.LoginResponse) error {
		d.endEarlier(r, out.SessionToken)
		return httpkit.JSON(ctx, w, out)
	}
	httpkit.Mount(d.Set.Login, decodeLogin, answer).ServeHTTP(w, r)
}

// decodeLogin fills in where the login comes from. A backend of a web app may say it for its
// user; it is a claim then, as today, and no limit counts by it.
func decodeLogin(r *http.Request) (authwire.LoginRequest, error) {
	in, err := httpkit.DecodeJSON[authwire.LoginRequest](maxAuthBody)(r)
	if in.ClientIP == "" {
		client := httpkit.ClientOf(r.Context())
		if !client.IsValid() {
			client = httpkit.Proxies(nil).Client(r)
		}
		if client.IsValid() {
			in.ClientIP = client.String()
		}
	}
	if in.ClientUserAgent == "" {
		in.ClientUserAgent = r.UserAgent()
	}
	return in, err
}
