package wire

import (
	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// ListSessionsIn turns the request of a page of sessions.
func ListSessionsIn(in operatorwire.Page) auth.ListSessionsRequest {
	return auth.ListSessionsRequest{User: in.User, Cursor: in.Cursor, Limit: in.Limit}
}

// ListSessionsOut turns its answer.
func ListSessionsOut(out auth.ListSessionsResponse) operatorwire.SessionsResponse {
	page := operatorwire.SessionsResponse{Sessions: make([]operatorwire.Session, 0, len(out.Sessions)), Next: out.Next}
	for _, l := range out.Sessions {
		page.Sessions = append(page.Sessions, ListedOut(l))
	}
	return page
}

// ListedOut turns a session as operators see it.
func ListedOut(l auth.Login) operatorwire.Session {
	return operatorwire.Session{
		ID: l.Key.String(), User: UserOut(l.User), Issuer: l.Issuer, CreatedAt: l.At.UTC(),
		ExpiresAt: l.ExpiresAt.UTC(),
	}
}

// EndSessionIn turns the name of a session.
func EndSessionIn(in operatorwire.SessionRequest) auth.SessionRequest { return auth.SessionRequest(in) }

// BearerIn turns an access token that was shown.
func BearerIn(in authwire.BearerRequest) auth.BearerRequest {
	return auth.BearerRequest{AccessToken: in.AccessToken, ClientIP: in.ClientIP, UserAgent: in.ClientUserAgent}
}

// BearerOut turns its session; scopes are never null.
func BearerOut(out auth.BearerResponse) authwire.BearerResponse {
	scopes := out.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return authwire.BearerResponse{
		SessionToken: out.Token.Reveal(), Scopes: scopes, ExpiresAt: out.ExpiresAt.UTC(),
	}
}

// EndedOut turns how many sessions ended.
func EndedOut(out auth.RevokeResponse) operatorwire.RevokeResponse {
	return operatorwire.RevokeResponse{Revoked: out.Revoked}
}
