package edgetest

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// Revoke ends one session, or all of a user; the role admin may end anybody's.
func (a *Auth) Revoke(_ context.Context, in authwire.RevokeRequest) (out authwire.RevokeResponse, err error) {
	if err := a.Err(); err != nil {
		return out, err
	}
	caller, ok := a.sessions.Get(in.SessionToken)
	if !ok {
		return out, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
	var ended []string
	for token, s := range a.sessions.All() {
		if token == in.TargetToken || int64(in.UserID) == s.UserID || in.Email != "" && in.Email == s.Email {
			if s.Owner() != caller.Owner() && !slices.Contains(caller.Roles, "admin") {
				return out, fault.New(fault.Denied, "revoke_denied", "no")
			}
			ended = append(ended, token)
		}
	}
	return a.end(ended), nil
}

func (a *Auth) end(tokens []string) authwire.RevokeResponse {
	for _, token := range tokens {
		a.sessions.Take(token)
	}
	return authwire.RevokeResponse{Revoked: len(tokens)}
}

// BackchannelLogout takes the token "good", which ends everything.
func (a *Auth) BackchannelLogout(
	_ context.Context, in authwire.BackchannelLogoutRequest,
) (out authwire.RevokeResponse, err error) {
	switch err := a.Err(); {
	case err != nil:
		return out, err
	case in.LogoutToken != "good":
		return out, fault.New(fault.Unauthenticated, "no_logout_token", "this is no logout token")
	}
	return a.end(slices.Collect(maps.Keys(a.sessions.All()))), nil
}

// BrowserBegin sends the browser to an issuer that repeats the request in its query.
func (a *Auth) BrowserBegin(_ context.Context, in authwire.BrowserBeginRequest) (authwire.BrowserBeginResponse, error) {
	if err := a.Err(); err != nil {
		return authwire.BrowserBeginResponse{}, err
	}
	q := url.Values{"redirect_uri": {in.CallbackURL}, "return_to": {in.ReturnOrigin + in.ReturnTo}}
	return authwire.BrowserBeginResponse{
		AuthorizeURL:  "https://issuer.example.com/authorize?" + q.Encode(),
		Binding:       cmp.Or(in.Binding, "binding"),
		MaxAgeSeconds: 600,
	}, nil
}

// BrowserFinish logs in with the state "good", the code "good" and the binding "binding".
func (a *Auth) BrowserFinish(
	_ context.Context, in authwire.BrowserFinishRequest,
) (out authwire.BrowserFinishResponse, err error) {
	if err := a.Err(); err != nil {
		return out, err
	}
	if in.State != "good" || in.Code != "good" || in.Binding != "binding" || in.Error != "" {
		return out, fault.New(fault.Invalid, "login_expired", "start <again>")
	}
	s := a.login(demo())
	return authwire.BrowserFinishResponse{
		SessionToken: s.SessionToken, ExpiresAt: s.ExpiresAt, ReturnTo: cmp.Or(a.ReturnTo, "/after?x=1"),
	}, nil
}

// HostOnly reports whether a browser takes a __Host- cookie and keeps it from scripts.
func HostOnly(c *http.Cookie) bool {
	return c != nil && c.HttpOnly && c.Secure && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == ""
}
