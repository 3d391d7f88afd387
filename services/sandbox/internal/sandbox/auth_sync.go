package sandbox

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// SyncLoginRequest is the body of POST /api/auth/login.
type SyncLoginRequest struct {
	Auth0Token  string `json:"auth0_token"`
	Auth0Domain string `json:"auth0_domain"`
	ClientIP    string `json:"client_ip"`
	Credential  string `json:"credential"`
}

// SyncUser is a user in the answers of the sync forms.
type SyncUser struct {
	UserID      int64    `json:"user_id"`
	Email       string   `json:"email"`
	DisplayName string   `json:"display_name"`
	Roles       []string `json:"roles"`
}

// SyncAnswer is the answer of the login and access forms.
type SyncAnswer struct {
	Status string         `json:"status"` // success or error
	Data   map[string]any `json:"data"`
	Error  string         `json:"error,omitempty"`
}

// SyncLogin logs a person in without a playbook.
func (s *Service) SyncLogin(_ context.Context, in SyncLoginRequest) (SyncAnswer, error) {
	if in.Auth0Token == "" {
		return SyncAnswer{}, invalid("token_missing", "auth0_token is required")
	}
	ses, err := s.deps.Directory.login(in.Auth0Token, defaultSessionHours)
	if err != nil {
		return SyncAnswer{Status: "error", Data: map[string]any{}, Error: fault.Of(err).Message}, nil
	}
	return SyncAnswer{Status: "success", Data: map[string]any{
		"status": "authenticated", "session_token": ses.token, "user": syncUser(ses.user), "expires_at": ses.expires.Format(time.RFC3339),
	}}, nil
}

// SyncValidateRequest is the body of POST /api/auth/session/validate.
type SyncValidateRequest struct {
	SessionToken string `json:"session_token"`
	Credential   string `json:"credential"`
}

// SyncValidateAnswer is its answer, also for a token that is no session.
type SyncValidateAnswer struct {
	Status    string     `json:"status"` // ok
	Valid     bool       `json:"valid"`
	User      *SyncUser  `json:"user"`
	ExpiresAt *time.Time `json:"expires_at"`
	Error     string     `json:"error,omitempty"`
}

// SyncValidate tells whose session a token is.
func (s *Service) SyncValidate(_ context.Context, in SyncValidateRequest) (SyncValidateAnswer, error) {
	if in.SessionToken == "" {
		return SyncValidateAnswer{}, invalid("token_missing", "session_token is required")
	}
	ses, ok := s.deps.Directory.parseSession(in.SessionToken)
	if !ok {
		return SyncValidateAnswer{Status: "ok", Error: "the session is invalid or expired"}, nil
	}
	u := syncUser(ses.user)
	return SyncValidateAnswer{Status: "ok", Valid: true, User: &u, ExpiresAt: &ses.expires}, nil
}

// SyncAccessRequest is the body of POST /api/auth/check-playbook-access.
type SyncAccessRequest struct {
	SessionToken string `json:"session_token"`
	PlaybookPath string `json:"playbook_path"`
	Action       string `json:"action"`
	Credential   string `json:"credential"`
}

// SyncAccess decides about access without a playbook.
func (s *Service) SyncAccess(_ context.Context, in SyncAccessRequest) (SyncAnswer, error) {
	if in.SessionToken == "" || in.PlaybookPath == "" {
		return SyncAnswer{}, invalid("access_incomplete", "session_token and playbook_path are required")
	}
	ses, ok := s.deps.Directory.parseSession(in.SessionToken)
	if !ok {
		return SyncAnswer{Status: "success", Data: map[string]any{"allowed": false, "user": nil, "message": "the session is invalid or expired"}}, nil
	}
	allowed := ses.user.May(in.Action, in.PlaybookPath)
	return SyncAnswer{Status: "success", Data: map[string]any{"allowed": allowed, "user": syncUser(ses.user), "message": verdict(allowed)}}, nil
}

func syncUser(u User) SyncUser { return SyncUser{u.ID, u.Email, u.Name, u.Roles} }

func verdict(allowed bool) string {
	if allowed {
		return "access granted"
	}
	return "access denied"
}
