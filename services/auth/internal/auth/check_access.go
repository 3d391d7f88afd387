package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/noetl/gateway/libs/fault"
)

// maxPath bounds a playbook path, in bytes.
const maxPath = 512

// CheckAccessRequest asks whether the holder of a token may do something with a playbook.
type CheckAccessRequest struct {
	Token      Token
	Path       string
	Permission Permission
}

// CheckAccessResponse is the decision. User is nil without a live session.
type CheckAccessResponse struct {
	Allowed bool
	User    *User
	Message string
}

// CheckAccess decides. No session, no decision and a malformed decision are denials; an
// outage is an error, which opens nothing either.
func (s *Service) CheckAccess(ctx context.Context, in CheckAccessRequest) (CheckAccessResponse, error) {
	out, outcome, err := s.checkAccess(ctx, in)
	s.Meter.Access(outcome)
	return out, err
}

func (s *Service) checkAccess(ctx context.Context, in CheckAccessRequest) (CheckAccessResponse, Outcome, error) {
	if err := wellAsked(in); err != nil {
		return CheckAccessResponse{}, Malformed, err
	}
	session, err := s.resolve(ctx, in.Token)
	switch {
	case errors.Is(err, ErrNoSession):
		return CheckAccessResponse{Message: ErrNoSession.Message}, Absent, nil
	case err != nil:
		return CheckAccessResponse{}, Failed, err
	case s.rules.Bypass != nil:
		return CheckAccessResponse{
			Allowed: true,
			User:    &session.User,
			Message: "access checks are off for development",
		}, Allowed, nil
	}
	decision, err := s.decide(
		ctx,
		AccessQuestion{Token: in.Token, Session: session, Path: in.Path, Permission: in.Permission},
	)
	kind, failed := fault.KindOf(err)
	switch {
	case errors.Is(err, ErrMalformed):
		s.Logger.WarnContext(
			ctx, "access decision not understood, denied", "reason", ErrMalformed.Code, "session", in.Token, "err",
			err,
		)
		return CheckAccessResponse{
			User:    &session.User,
			Message: "access denied: the backend gave no clear decision",
		}, Denied, nil
	case failed && (kind == fault.Unauthenticated || kind == fault.Denied):
		return CheckAccessResponse{User: &session.User, Message: fault.Of(err).Message}, Denied, nil
	case failed:
		return CheckAccessResponse{}, Failed, timeoutAsUnavailable(err)
	}
	user := session.User
	if decision.User != nil && decision.User.Known() {
		user = *decision.User
	}
	if user.ID == session.User.ID && len(user.Roles) == 0 { // NoETL's decisions name no roles
		user.Roles = session.User.Roles
	}
	out := CheckAccessResponse{Allowed: decision.Allowed, User: &user, Message: decision.Message}
	if !decision.Allowed {
		return out, Denied, nil
	}
	return out, Allowed, nil
}

// decide asks the backend.
func (s *Service) decide(ctx context.Context, q AccessQuestion) (Decision, error) {
	return s.decideOnce(ctx, accessKey{q.Token.Key(), q.Path, q.Permission},
		func(ctx context.Context) (Decision, error) { return s.Backend.Access(ctx, q) })
}

// decideOnce asks once for all who ask the same at the same time, unless it was decided a moment ago. What is no
// decision is not remembered.
func (s *Service) decideOnce(
	ctx context.Context, key accessKey, ask func(context.Context) (Decision, error),
) (Decision, error) {
	if d, ok := s.decided.get(key); ok {
		return d, nil
	}
	flight := key.session.String() + " " + string(key.permission) + " " + key.name
	return s.decisions.do(ctx, flight, func(ctx context.Context) (Decision, error) {
		d, err := ask(ctx)
		if err == nil {
			s.decided.put(key, d)
		}
		return d, err
	})
}

func wellAsked(in CheckAccessRequest) error {
	switch {
	case in.Path == "":
		return errPathMissing
	case len(in.Path) > maxPath || strings.ContainsFunc(in.Path, func(r rune) bool {
		return r < ' ' || r == 0x7f ||
			r == '\uFFFD'
	}):
		return errPathBad
	case !in.Permission.Valid():
		return errPermissionUnknown
	default:
		return nil
	}
}
