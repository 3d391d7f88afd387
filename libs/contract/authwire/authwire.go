// Package authwire is what the auth service says on HTTP (wire contract, section 2) and on
// NATS. Other services import this package and never the auth service.
package authwire

import (
	"strconv"
	"time"
)

// Subjects of the auth service's NATS operations.
const (
	SubjectLogin       = "gateway.auth.v1.login"
	SubjectValidate    = "gateway.auth.v1.validate"
	SubjectCheckAccess = "gateway.auth.v1.check-access"
	// SubjectCheckResource decides whether a user may watch something that is no playbook.
	SubjectCheckResource = "gateway.auth.v1.check_resource"
	SubjectLogout        = "gateway.auth.v1.logout"
	SubjectResolve       = "gateway.auth.v1.resolve"
	SubjectRevoke        = "gateway.auth.v1.revoke"
	// SubjectBackchannelLogout takes an issuer's logout token.
	SubjectBackchannelLogout = "gateway.auth.v1.backchannel-logout"
	SubjectBrowserBegin      = "gateway.auth.v1.browser-begin"
	SubjectBrowserFinish     = "gateway.auth.v1.browser-finish"
	// SubjectCallback, plus a request id, is where the auth replica that waits for a playbook's
	// answer listens. event-fanout sends a worker's callback there as a request: no responder
	// means that nobody waits.
	SubjectCallback = "gateway.auth.v1.callback."
)

// RevokedBucket is the key-value bucket in which auth publishes revocations, for every
// session client to watch. A key is [TokenKey.String] of the revoked token, which lives until
// the session would have expired, or [UserKey.String] of a user all of whose sessions ended at
// the moment at which the entry was stored. Only auth writes it.
const RevokedBucket = "gateway_revoked"

// User is the person behind a session.
type User struct {
	UserID      int64    `json:"user_id"`
	Email       string   `json:"email"`
	DisplayName string   `json:"display_name"`
	Roles       []string `json:"roles"`
}

// Owner is the stable name of the user, for what belongs to a user: the id, or the address
// where a backend gives no id.
func (u User) Owner() string {
	if u.UserID != 0 {
		return "id:" + strconv.FormatInt(u.UserID, 10)
	}
	return "email:" + u.Email
}

// LoginRequest is the body of POST /api/auth/login.
type LoginRequest struct {
	Auth0Token           string  `json:"auth0_token"`
	Auth0Domain          string  `json:"auth0_domain,omitempty"`
	Auth0RefreshToken    string  `json:"auth0_refresh_token,omitempty"`
	SessionDurationHours float64 `json:"session_duration_hours,omitempty"`
	ClientIP             string  `json:"client_ip,omitempty"`
	ClientUserAgent      string  `json:"client_user_agent,omitempty"`
}

// LoginResponse is the answer of a successful login.
type LoginResponse struct {
	Status       string    `json:"status"` // "authenticated"
	SessionToken string    `json:"session_token"`
	User         User      `json:"user"`
	ExpiresAt    time.Time `json:"expires_at"`
	Message      string    `json:"message"`
}

// ValidateRequest is the body of POST /api/auth/validate.
type ValidateRequest struct {
	SessionToken string `json:"session_token"`
}

// ValidateResponse is its answer, also for a token that is no session.
type ValidateResponse struct {
	Valid     bool       `json:"valid"`
	User      *User      `json:"user"`
	ExpiresAt *time.Time `json:"expires_at"`
	Message   string     `json:"message"`
}

// CheckAccessRequest is the body of POST /api/auth/check-access. PlaybookName is the older
// name of PlaybookPath.
type CheckAccessRequest struct {
	SessionToken   string `json:"session_token"`
	PlaybookPath   string `json:"playbook_path"`
	PlaybookName   string `json:"playbook_name,omitempty"`
	PermissionType string `json:"permission_type"` // execute, view, edit or modify
}

// CheckAccessResponse is the decision. Anything but a clear yes is a no.
type CheckAccessResponse struct {
	Allowed        bool   `json:"allowed"`
	User           *User  `json:"user"`
	PlaybookPath   string `json:"playbook_path"`
	PermissionType string `json:"permission_type"`
	Message        string `json:"message"`
}

// Resource names what a subscription watches. Segments are the named parts of the pattern that the path matched, such
// as thread_id.
type Resource struct {
	Source   string            `json:"source"` // firestore or kv
	Path     string            `json:"path"`
	Scope    string            `json:"scope"` // owner
	Pattern  string            `json:"pattern"`
	Segments map[string]string `json:"segments,omitempty"`
}

// CheckResourceRequest asks whether a session's user may watch a resource. The answer to a token that is no session is
// the fault Unauthenticated.
type CheckResourceRequest struct {
	SessionToken string   `json:"session_token"`
	Resource     Resource `json:"resource"`
}

// CheckResourceResponse is the decision. Anything but a clear yes is a no.
type CheckResourceResponse struct {
	Allowed bool   `json:"allowed"`
	Message string `json:"message,omitempty"`
}

// LogoutRequest ends one session. Replaced says that a later login of the same browser ends it.
type LogoutRequest struct {
	SessionToken string `json:"session_token"`
	Replaced     bool   `json:"replaced,omitempty"`
}

// LogoutResponse is empty.
type LogoutResponse struct{}

// ResolveRequest asks whose session a token is. The answer to a token that is no session is
// the fault Unauthenticated.
//
// KnownOnly asks for what the gateway's own records say: a token that only the backend could know is the fault
// RateLimited then, and the backend is not asked.
type ResolveRequest struct {
	SessionToken string `json:"session_token"`
	KnownOnly    bool   `json:"known_only,omitempty"`
}

// Session is a live session. ClearedAt is when all of the user's sessions were last ended, as the
// entry in [RevokedBucket] says; the login of this one was later. Zero if they never were.
type Session struct {
	User
	ExpiresAt time.Time `json:"expires_at"`
	ClearedAt time.Time `json:"cleared_at,omitzero"`
}

// Callback is what a worker sends to POST /api/internal/callback, and what legacy workers
// publish on noetl.callbacks.<request_id>.
type Callback struct {
	RequestID   string `json:"request_id"`
	ExecutionID any    `json:"execution_id,omitempty"`
	Step        string `json:"step,omitempty"`
	Status      string `json:"status,omitempty"`
	Data        any    `json:"data,omitempty"`
}
