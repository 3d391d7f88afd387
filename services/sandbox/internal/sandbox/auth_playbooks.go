package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/noetl/gateway/libs/fault"
)

// Paths of the auth playbooks (wire contract, section 12).
const (
	PathLogin       = "api_integration/auth0/auth0_login"
	PathValidate    = "api_integration/auth0/auth0_validate_session"
	PathCheckAccess = "api_integration/auth0/check_playbook_access"
)

// authPlaybooks returns the playbooks that answer the auth service. Their answers have the
// loose shapes of section 2 on purpose: ids and booleans as text, roles as a Postgres array
// or as JSON in a string.
func (s *Service) authPlaybooks() []*playbook {
	return []*playbook{
		{path: PathLogin, replies: true, description: "Logs a person in by an OIDC token.", steps: s.loginSteps},
		{path: PathValidate, replies: true, description: "Tells whose session a token is.", steps: s.validateSteps},
		{path: PathCheckAccess, replies: true, description: "Decides about access to a playbook.", steps: s.accessSteps},
	}
}

func (s *Service) loginSteps(w Workload) ([]step, error) {
	hours, err := w.number("session_duration_hours", defaultSessionHours, maxSessionHours)
	if err != nil {
		return nil, err
	}
	if hours == 0 {
		hours = defaultSessionHours
	}
	var ses session
	return []step{
		{"create_session", "the session is made", func(context.Context) (any, error) {
			var err error
			if ses, err = s.deps.Directory.login(w.text("auth0_token"), hours); err != nil {
				return nil, errors.New(fault.Of(err).Message)
			}
			return nil, nil
		}},
		{"cache_session", "the session is cached", func(ctx context.Context) (any, error) {
			s.cacheSession(ctx, ses)
			return map[string]any{
				"status": "authenticated", "session_token": ses.token, "expires_at": postgresTime(ses.expires),
				"user": map[string]any{
					"user_id": strconv.FormatInt(ses.user.ID, 10), "email": ses.user.Email, "display_name": ses.user.Name, "roles": postgresArray(ses.user.Roles),
				},
			}, nil
		}},
	}, nil
}

// cacheSession writes the session for the gateway to find. Best effort: without the record
// the gateway asks the validate playbook.
func (s *Service) cacheSession(ctx context.Context, ses session) {
	ctx, cancel := context.WithTimeout(ctx, sessionPatience)
	defer cancel()
	err := s.deps.Sessions.Put(ctx, SessionRecord{
		SessionToken: ses.token, UserID: strconv.FormatInt(ses.user.ID, 10), Email: ses.user.Email, DisplayName: ses.user.Name,
		ExpiresAt: postgresTime(ses.expires), IsActive: true, Roles: postgresArray(ses.user.Roles),
	})
	if err != nil {
		s.deps.Logger.WarnContext(ctx, "the session was not cached", "reason", fault.Of(err).Code, "err", err)
	}
}

func (s *Service) validateSteps(w Workload) ([]step, error) {
	return []step{{"look_up", "the session is looked up", func(context.Context) (any, error) {
		ses, ok := s.deps.Directory.parseSession(w.text("session_token"))
		if !ok {
			return map[string]any{"valid": "False", "user": nil, "expires_at": nil, "message": "the session is invalid or expired"}, nil
		}
		return map[string]any{"valid": "True", "user": jsonUser(ses.user), "expires_at": ses.expires.Format("2006-01-02T15:04:05")}, nil
	}}}, nil
}

func (s *Service) accessSteps(w Workload) ([]step, error) {
	return []step{{"decide", "the grants are looked up", func(context.Context) (any, error) {
		ses, ok := s.deps.Directory.parseSession(w.text("session_token"))
		if !ok {
			return map[string]any{"allowed": "False", "user": nil, "message": "the session is invalid or expired"}, nil
		}
		allowed := ses.user.May(w.text("action"), w.text("playbook_path"))
		word := "False"
		if allowed {
			word = "True"
		}
		return map[string]any{"allowed": word, "user": jsonUser(ses.user), "message": verdict(allowed)}, nil
	}}}, nil
}

// jsonUser is a user whose roles are a JSON array in a string.
func jsonUser(u User) map[string]any {
	roles, err := json.Marshal(u.Roles)
	if err != nil {
		roles = []byte("[]") // strings always encode
	}
	return map[string]any{"user_id": strconv.FormatInt(u.ID, 10), "email": u.Email, "display_name": u.Name, "roles": string(roles)}
}
