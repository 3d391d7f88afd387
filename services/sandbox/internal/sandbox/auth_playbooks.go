package sandbox

import (
	"context"
	"errors"

	"github.com/noetl/gateway/libs/fault"
)

// Paths of the auth playbooks (wire contract, section 12).
const (
	PathLogin       = "api_integration/auth0/auth0_login"
	PathValidate    = "api_integration/auth0/auth0_validate_session"
	PathCheckAccess = "api_integration/auth0/check_playbook_access"
)

// authPlaybooks returns the playbooks that answer the auth service, in the shapes in which real ones do.
func (s *Service) authPlaybooks() []*playbook {
	return []*playbook{
		{
			path: PathLogin, replies: true, refusal: "Token validation failed",
			description: "Logs a person in by an OIDC token.", steps: s.loginSteps,
		},
		{
			path: PathValidate, replies: true, refusal: "Session validation failed",
			description: "Tells whose session a token is.", steps: s.validateSteps,
		},
		{
			path: PathCheckAccess, replies: true, refusal: "Access check failed",
			description: "Decides about access to a playbook, or to documents.", steps: s.accessSteps,
		},
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
				"status":        "authenticated",
				"session_token": ses.token,
				"expires_at":    postgresTime(s.deps.Generation, ses.expires),
				"user":          syncUser(ses.user),
			}, nil
		}},
	}, nil
}

// cacheSession writes the session for the gateway to find, where there is NATS. Best effort: without the
// record the gateway asks the validate playbook.
func (s *Service) cacheSession(ctx context.Context, ses session) {
	if s.deps.Sessions == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sessionPatience)
	defer cancel()
	if err := s.deps.Sessions.Put(ctx, s.record(ses, true)); err != nil {
		s.deps.Logger.WarnContext(ctx, "the session was not cached", "reason", fault.Of(err).Code, "err", err)
	}
}

// record is a session as the login playbook writes it to NATS.
func (s *Service) record(ses session, active bool) SessionRecord {
	return SessionRecord{
		SessionToken: ses.token, UserID: ses.user.ID, Email: ses.user.Email, DisplayName: ses.user.Name,
		ExpiresAt: postgresTime(s.deps.Generation, ses.expires), IsActive: active, Roles: ses.user.Roles,
	}
}

// validateSteps answers through the callback. On the Python server no condition of the playbook fits an
// invalid token: the execution comes to a dead end and nobody hears of it.
func (s *Service) validateSteps(w Workload) ([]step, error) {
	return []step{{"start", "the session is looked for", func(ctx context.Context) (any, error) {
		ses, ok := s.session(w.text("session_token"))
		switch {
		case ok:
			return map[string]any{
				"valid": true, "user": syncUser(ses.user), "expires_at": postgresTime(s.deps.Generation, ses.expires),
				"message": "Session is valid",
			}, nil
		case s.deps.Generation == Python:
			if err := pause(ctx, deadEndTime); err != nil {
				return nil, err
			}
			return nil, errDeadEnd
		}
		return map[string]any{"valid": false, "message": "Session not found or expired"}, nil
	}}}, nil
}

func (s *Service) accessSteps(w Workload) ([]step, error) {
	return []step{{"decide", "the grants are looked for", func(context.Context) (any, error) {
		if resource, asked := w["resource"]; asked {
			return s.decideResource(w.text("session_token"), resource), nil
		}
		d := s.decide(w.text("session_token"), w.text("action"), w.text("playbook_path"))
		d["playbook_path"], d["permission_type"] = w.text("playbook_path"), w.text("action")
		return d, nil
	}}}, nil
}

// decide says whether the holder of a token may do something with a playbook.
func (s *Service) decide(token, action, path string) map[string]any {
	ses, ok := s.session(token)
	if !ok || !ses.user.May(action, path) {
		return map[string]any{"allowed": false, "message": "Access denied"}
	}
	user := map[string]any{"display_name": ses.user.Name, "email": ses.user.Email, "user_id": ses.user.ID}
	return map[string]any{"allowed": true, "message": "Access granted to " + action + " playbook", "user": user}
}

// decideResource says whether the holder of a token may watch documents. Real access playbooks know nothing of them
// unless somebody teaches them; this one has the rules of [User.MayWatch].
func (s *Service) decideResource(token string, resource any) map[string]any {
	members, _ := resource.(map[string]any)
	documents, _ := members["path"].(string)
	if ses, ok := s.session(token); !ok || !ses.user.MayWatch(documents) {
		return map[string]any{"allowed": false, "message": "Access denied"}
	}
	return map[string]any{"allowed": true, "message": "Access granted to " + documents}
}
