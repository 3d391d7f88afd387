package authwire

import "time"

// SubjectBearer exchanges an access token of an issuer for a session.
const SubjectBearer = "gateway.auth.v1.bearer"

// BearerRequest shows an access token that was issued for the gateway as a resource (RFC 8707, RFC 9068). The
// answer to one that is no such token is the fault Unauthenticated.
type BearerRequest struct {
	AccessToken     string `json:"access_token"`
	ClientIP        string `json:"client_ip,omitempty"`
	ClientUserAgent string `json:"client_user_agent,omitempty"`
}

// BearerResponse is the session of its holder: the same one for the same access token, on every replica. A session
// that was ended stays ended for as long as the access token lives.
type BearerResponse struct {
	SessionToken string    `json:"session_token"`
	Scopes       []string  `json:"scopes"`
	ExpiresAt    time.Time `json:"expires_at"` // of the access token
}
