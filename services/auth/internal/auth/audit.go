package auth

import (
	"context"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// audit writes one line of the audit log; its lines have the message "audit" (docs/operations.md).
func (s *Service) audit(ctx context.Context, event, account, reason string, more ...any) {
	s.Logger.InfoContext(ctx, "audit", append([]any{"event", event, "account", account, "reason", reason}, more...)...)
}

// auditLogin writes how a login ended. An outage is no refusal: the log has its cause already.
func (s *Service) auditLogin(ctx context.Context, who Identity, opened Opened, err error) {
	switch {
	case err == nil:
		s.audit(ctx, "login", opened.Session.User.account(), "verified",
			"session", opened.Token, "subject", who.account())
	case !fault.IsOutage(err) && ctx.Err() == nil:
		s.audit(ctx, "login_refused", who.account(), fault.Of(err).Code)
	}
}

// auditRevocation writes who ended whose sessions, or was refused to.
func (s *Service) auditRevocation(ctx context.Context, caller Session, target string, n int, err error) {
	switch {
	case err == nil:
		s.audit(ctx, "revocation", caller.User.account(), "asked", "target", target, "revoked", n)
	case !fault.IsOutage(err) && ctx.Err() == nil:
		s.audit(ctx, "revocation_refused", caller.User.account(), fault.Of(err).Code, "target", target)
	}
}

// account is how the log calls a user, as the other services do.
func (u User) account() string {
	if names := (authwire.User{UserID: u.ID, Email: u.Email}).Names(); len(names) > 0 {
		return names[0]
	}
	return ""
}

// account is how the log calls a person of whom only the token was verified, empty if it was not.
func (i Identity) account() string {
	if i.Subject == "" {
		return ""
	}
	return visible(i.Issuer+"|"+i.Subject, maxLogged)
}

// maxLogged bounds what an issuer or a caller puts into a line, in bytes.
const maxLogged = 256

// target is how the log calls those whose sessions a request ends. What a caller wrote there by mistake, such as a
// token, is not repeated.
func (in RevokeRequest) target() string {
	switch {
	case !in.Target.IsZero():
		return in.Target.String()
	case in.Session != "":
		if key, ok := authwire.ParseTokenKey(in.Session); ok {
			return "session:" + key.String()[:12]
		}
		return "session"
	case in.UserID != 0:
		return authwire.NameOfID(in.UserID)
	case strings.Contains(in.Email, "@") && len(in.Email) <= maxLogged:
		return visible(authwire.NameOfEmail(in.Email), maxLogged)
	case in.Email != "":
		return "email"
	default:
		return "own"
	}
}
