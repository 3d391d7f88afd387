package edgetest

import (
	"context"
	"net/url"
	"slices"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// Revoke ends one session, or all of a user; the role admin may end anybody's.
func (a *Auth) Revoke(_ context.Context, in authwire.RevokeRequest) (authwire.RevokeResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return authwire.RevokeResponse{}, a.fail
	}
	caller, ok := a.sessions[in.SessionToken]
	if !ok {
		return authwire.RevokeResponse{}, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
	var ended []string
	for token, s := range a.sessions {
		if token == in.TargetToken || int64(in.UserID) == s.UserID || in.Email != "" && in.Email == s.Email {
			if s.Owner() != caller.Owner() && !slices.Contains(caller.Roles, "admin") {
				return authwire.RevokeResponse{}, fault.New(fault.Denied, "revoke_denied", "no")
			}
			ended = append(ended, token)
		}
	}
	for _, token := range ended {
		delete(a.sessions, token)
	}
	return authwire.RevokeResponse{Revoked: len(ended)}, nil
}

// BackchannelLogout takes the token "good", which ends everything.
func (a *Auth) BackchannelLogout(
	_ context.Context,
	in authwire.BackchannelLogoutRequest,
) (authwire.RevokeResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return authwire.RevokeResponse{}, a.fail
	}
	if in.LogoutToken != "good" {
		return authwire.RevokeResponse{}, fault.New(fault.Unauthenticated, "no_logout_token", "this is no logout token")
	}
	n := len(a.sessions)
	clear(a.sessions)
	return authwire.RevokeResponse{Revoked: n}, nil
}

// BrowserBegin sends the browser to an issuer that repeats the request in its query.
func (a *Auth) BrowserBegin(_ context.Context, in authwire.BrowserBeginRequest) (authwire.BrowserBeginResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return authwire.BrowserBeginResponse{}, a.fail
	}
	binding := in.Binding
	if binding == "" {
		binding = "binding"
	}
	q := url.Values{"redirect_uri": {in.CallbackURL}, "return_to": {in.ReturnTo}}
	return authwire.BrowserBeginResponse{
		AuthorizeURL:  "https://issuer.example.com/authorize?" + q.Encode(),
		Binding:       binding,
		MaxAgeSeconds: 600,
	}, nil
}

// BrowserFinish logs in with the state "good", the code "good" and the binding "binding".
func (a *Auth) BrowserFinish(
	_ context.Context,
	in authwire.BrowserFinishRequest,
) (authwire.BrowserFinishResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return authwire.BrowserFinishResponse{}, a.fail
	}
	if in.State != "good" || in.Code != "good" || in.Binding != "binding" || in.Error != "" {
		return authwire.BrowserFinishResponse{}, fault.New(fault.Invalid, "login_expired", "start <again>")
	}
	s := a.add(
		authwire.User{
			UserID:      9007199254740993,
			Email:       "demo@example.com",
			DisplayName: "Demo",
			Roles:       []string{"user"},
		},
	)
	return authwire.BrowserFinishResponse{
		SessionToken: s.SessionToken,
		ExpiresAt:    s.ExpiresAt,
		ReturnTo:     "/after?x=1",
	}, nil
}
