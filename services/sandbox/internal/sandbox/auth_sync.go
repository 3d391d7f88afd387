package sandbox

import (
	"context"

	"github.com/noetl/gateway/libs/fault"
)

// SyncLoginRequest is the body of POST /api/auth/login.
type SyncLoginRequest struct {
	Auth0Token  string `json:"auth0_token"`
	Auth0Domain string `json:"auth0_domain"`
	ClientIP    string `json:"client_ip"`
	Credential  string `json:"credential"`
}

// SyncUser is a user in the answers about sessions.
type SyncUser struct {
	DisplayName string   `json:"display_name"`
	Email       string   `json:"email"`
	Roles       []string `json:"roles"`
	UserID      int64    `json:"user_id"`
}

// SyncAnswer is the answer of the login and access routes, also for a refusal.
type SyncAnswer struct {
	Status string         `json:"status"` // success or error
	Data   map[string]any `json:"data"`
}

// SyncLogin logs a person in without a playbook.
func (s *Service) SyncLogin(_ context.Context, in SyncLoginRequest) (SyncAnswer, error) {
	ses, err := s.deps.Directory.login(in.Auth0Token, defaultSessionHours)
	if err != nil {
		return SyncAnswer{
			Status: "error", Data: map[string]any{"error": fault.Of(err).Message, "message": "Token validation failed"},
		}, nil
	}
	return SyncAnswer{Status: "success", Data: map[string]any{
		"status": "authenticated", "session_token": ses.token, "user": syncUser(ses.user),
		"expires_at": postgresTime(s.deps.Generation, ses.expires),
	}}, nil
}

// SyncValidateRequest is the body of POST /api/auth/session/validate.
type SyncValidateRequest struct {
	SessionToken *string `json:"session_token"`
	Credential   string  `json:"credential"`
}

// SyncValidateAnswer is its answer, also for a token without a session.
type SyncValidateAnswer struct {
	Valid     bool
	User      *SyncUser
	ExpiresAt string
}

// SyncValidate tells whose session a token is.
func (s *Service) SyncValidate(_ context.Context, in SyncValidateRequest) (SyncValidateAnswer, error) {
	if in.SessionToken == nil {
		return SyncValidateAnswer{}, fault.New(fault.Invalid, CodeMissing, "session_token")
	}
	ses, ok := s.session(*in.SessionToken)
	if !ok {
		return SyncValidateAnswer{}, nil
	}
	u := syncUser(ses.user)
	return SyncValidateAnswer{Valid: true, User: &u, ExpiresAt: postgresTime(s.deps.Generation, ses.expires)}, nil
}

// CodeMissing is the code of the fault of a body without a required member; its message is the name.
const CodeMissing = "field_missing"

// SyncAccessRequest is the body of POST /api/auth/check-playbook-access.
type SyncAccessRequest struct {
	SessionToken *string `json:"session_token"`
	PlaybookPath *string `json:"playbook_path"`
	Action       string  `json:"action"`
	Credential   string  `json:"credential"`
}

// SyncAccess decides about access without a playbook.
func (s *Service) SyncAccess(_ context.Context, in SyncAccessRequest) (SyncAnswer, error) {
	if in.SessionToken == nil {
		return SyncAnswer{}, fault.New(fault.Invalid, CodeMissing, "session_token")
	}
	if in.PlaybookPath == nil {
		return SyncAnswer{}, fault.New(fault.Invalid, CodeMissing, "playbook_path")
	}
	return SyncAnswer{Status: "success", Data: s.decide(*in.SessionToken, in.Action, *in.PlaybookPath)}, nil
}

func syncUser(u User) SyncUser { return SyncUser{u.Name, u.Email, u.Roles, u.ID} }
