// Package wire turns the contract's types into the use cases' values and back, and decodes
// the many shapes in which NoETL and its playbooks answer. Everything here is pure.
package wire

import (
	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// LoginIn turns the request of a login.
func LoginIn(in authwire.LoginRequest) auth.LoginRequest {
	return auth.LoginRequest{
		Token: in.Auth0Token, Domain: in.Auth0Domain, RefreshToken: in.Auth0RefreshToken,
		Hours: in.SessionDurationHours, ClientIP: in.ClientIP, UserAgent: in.ClientUserAgent,
	}
}

// LoginOut turns its answer.
func LoginOut(out auth.Opened) authwire.LoginResponse {
	return authwire.LoginResponse{
		Status: "authenticated", SessionToken: out.Token.Reveal(), User: UserOut(out.Session.User),
		ExpiresAt: out.Session.ExpiresAt.UTC(), Message: "logged in",
	}
}

// ValidateIn turns the request of a validation.
func ValidateIn(in authwire.ValidateRequest) auth.ValidateRequest {
	return auth.ValidateRequest{Token: authwire.NewToken(in.SessionToken)}
}

// ValidateOut turns its answer.
func ValidateOut(out auth.ValidateResponse) authwire.ValidateResponse {
	if out.Session == nil {
		return authwire.ValidateResponse{Message: "the session is invalid or expired"}
	}
	user, expires := UserOut(out.Session.User), out.Session.ExpiresAt.UTC()
	return authwire.ValidateResponse{Valid: true, User: &user, ExpiresAt: &expires, Message: "the session is valid"}
}

// CheckAccessIn turns an access question. playbook_name is the older name of playbook_path.
func CheckAccessIn(in authwire.CheckAccessRequest) auth.CheckAccessRequest {
	return auth.CheckAccessRequest{
		Token:      authwire.NewToken(in.SessionToken),
		Path:       pathOf(in),
		Permission: auth.Permission(in.PermissionType),
	}
}

// CheckAccessOut turns its answer, which repeats the question.
func CheckAccessOut(in authwire.CheckAccessRequest, out auth.CheckAccessResponse) authwire.CheckAccessResponse {
	answer := authwire.CheckAccessResponse{
		Allowed:        out.Allowed,
		PlaybookPath:   pathOf(in),
		PermissionType: in.PermissionType,
		Message:        out.Message,
	}
	if out.User != nil {
		user := UserOut(*out.User)
		answer.User = &user
	}
	if answer.Message == "" {
		answer.Message = map[bool]string{true: "access granted", false: "access denied"}[out.Allowed]
	}
	return answer
}

// CheckResourceIn turns a question about a resource.
func CheckResourceIn(in authwire.CheckResourceRequest) auth.CheckResourceRequest {
	return auth.CheckResourceRequest{
		Token: authwire.NewToken(in.SessionToken), Resource: auth.Resource(in.Resource),
	}
}

// CheckResourceOut turns its answer.
func CheckResourceOut(out auth.Decision) authwire.CheckResourceResponse {
	return authwire.CheckResourceResponse{Allowed: out.Allowed, Message: out.Message}
}

// ResourceOut turns a resource; segments are never null.
func ResourceOut(r auth.Resource) authwire.Resource {
	out := authwire.Resource(r)
	if out.Segments == nil {
		out.Segments = map[string]string{}
	}
	return out
}

func pathOf(in authwire.CheckAccessRequest) string {
	if in.PlaybookPath != "" {
		return in.PlaybookPath
	}
	return in.PlaybookName
}

// LogoutIn turns the request of a logout.
func LogoutIn(in authwire.LogoutRequest) auth.LogoutRequest {
	return auth.LogoutRequest{Token: authwire.NewToken(in.SessionToken), Replaced: in.Replaced}
}

// LogoutOut turns its answer, which is empty.
func LogoutOut(auth.LogoutResponse) authwire.LogoutResponse { return authwire.LogoutResponse{} }

// ResolveIn turns the question whose session a token is.
func ResolveIn(in authwire.ResolveRequest) auth.ResolveRequest {
	return auth.ResolveRequest{Token: authwire.NewToken(in.SessionToken), KnownOnly: in.KnownOnly}
}

// SessionOut turns a session.
func SessionOut(s auth.Session) authwire.Session {
	return authwire.Session{User: UserOut(s.User), ExpiresAt: s.ExpiresAt.UTC(), ClearedAt: s.ClearedAt.UTC()}
}

// RevokeIn turns the request of a revocation.
func RevokeIn(in authwire.RevokeRequest) auth.RevokeRequest {
	return auth.RevokeRequest{
		Caller:  authwire.NewToken(in.SessionToken),
		Target:  authwire.NewToken(in.TargetToken),
		Session: in.TargetSession,
		UserID:  int64(in.UserID),
		Email:   in.Email,
	}
}

// RevokeOut turns its answer.
func RevokeOut(out auth.RevokeResponse) authwire.RevokeResponse {
	return authwire.RevokeResponse{Revoked: out.Revoked}
}

// BackchannelIn turns an issuer's logout.
func BackchannelIn(in authwire.BackchannelLogoutRequest) auth.BackchannelLogoutRequest {
	return auth.BackchannelLogoutRequest{Token: in.LogoutToken}
}

// BrowserBeginIn turns the begin of a browser login.
func BrowserBeginIn(in authwire.BrowserBeginRequest) auth.BrowserBeginRequest {
	return auth.BrowserBeginRequest{
		ReturnTo: in.ReturnTo, ReturnOrigin: in.ReturnOrigin, CallbackURL: in.CallbackURL, Binding: in.Binding,
		Operator: in.Operator,
	}
}

// BrowserBeginOut turns its answer.
func BrowserBeginOut(out auth.BrowserBeginResponse) authwire.BrowserBeginResponse {
	return authwire.BrowserBeginResponse{
		AuthorizeURL:  out.AuthorizeURL,
		Binding:       out.Binding,
		MaxAgeSeconds: int(out.Life.Seconds()),
	}
}

// BrowserFinishIn turns the end of a browser login.
func BrowserFinishIn(in authwire.BrowserFinishRequest) auth.BrowserFinishRequest {
	return auth.BrowserFinishRequest{
		State:     in.State,
		Code:      in.Code,
		Issuer:    in.Issuer,
		Error:     in.Error,
		Binding:   in.Binding,
		ClientIP:  in.ClientIP,
		UserAgent: in.UserAgent,
	}
}

// BrowserFinishOut turns its answer.
func BrowserFinishOut(out auth.BrowserFinishResponse) authwire.BrowserFinishResponse {
	return authwire.BrowserFinishResponse{
		SessionToken: out.Opened.Token.Reveal(),
		ExpiresAt:    out.Opened.Session.ExpiresAt.UTC(),
		ReturnTo:     out.ReturnTo,
	}
}

// UserOut turns a user; roles are never null.
func UserOut(u auth.User) authwire.User {
	roles := u.Roles
	if roles == nil {
		roles = []string{}
	}
	return authwire.User{UserID: u.ID, Email: u.Email, DisplayName: u.DisplayName, Roles: roles}
}
