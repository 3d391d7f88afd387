package httpapi

import (
	"context"
	"net/http"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
)

// maxAuthBody bounds the body of an authentication call, in bytes: a token or two.
const maxAuthBody = 64 << 10

// Register adds the routes that authenticate (contract, section 1), and those that end sessions.
func (a *API) Register(mux *http.ServeMux) {
	o, svc := a.Observer, a.Service
	mux.Handle("POST /api/auth/login", a.LimitLogins(
		a.login(kit.Bind(o, "edge.login", LoginLimits(), svc.Login))))
	mux.Handle("POST /api/auth/validate", a.LimitAuthCalls(httpkit.Handle(
		kit.Bind(o, "edge.validate", AuthLimits(), svc.Validate),
		httpkit.DecodeJSON[authwire.ValidateRequest](maxAuthBody), httpkit.JSON)))
	mux.Handle("POST /api/auth/check-access", a.LimitAuthCalls(httpkit.Handle(
		kit.Bind(o, "edge.check_access", AuthLimits(), svc.CheckAccess),
		httpkit.DecodeJSON[authwire.CheckAccessRequest](maxAuthBody), httpkit.JSON)))
	mux.Handle("POST /api/auth/revoke", a.LimitAuthCalls(httpkit.Handle(
		kit.Bind(o, "edge.revoke", AuthLimits(), svc.Revoke), decodeRevoke, httpkit.JSON)))
	a.RegisterLogout(mux)
	mux.Handle("POST /api/auth/backchannel-logout", a.LimitAuthCalls(
		backchannelLogout(kit.Bind(o, "edge.backchannel_logout", AuthLimits(), svc.BackchannelLogout))))
}

// RegisterLogout adds the route that ends the caller's session.
func (a *API) RegisterLogout(mux *http.ServeMux) {
	mux.Handle("POST /api/auth/logout", a.LimitAuthCalls(http.HandlerFunc(a.serveLogout)))
}

// login opens a session, and ends the earlier one of a browser that logs in again.
func (a *API) login(login func(context.Context, authwire.LoginRequest) (authwire.LoginResponse, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := func(ctx context.Context, w http.ResponseWriter, out authwire.LoginResponse) error {
			a.EndEarlierSessions(r, out.SessionToken)
			return httpkit.JSON(ctx, w, out)
		}
		httpkit.Handle(login, decodeLogin, answer).ServeHTTP(w, r)
	})
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
