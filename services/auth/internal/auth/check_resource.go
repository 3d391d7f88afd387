package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/noetl/gateway/libs/fault"
)

// Watch is what a subscription does with a resource. It is no permission of the contract: access playbooks that do not
// know resources deny it.
const Watch Permission = "watch"

// CheckResourceRequest asks whether the holder of a token may watch a resource.
type CheckResourceRequest struct {
	Token    Token
	Resource Resource
}

// ResourceQuestion asks whether the user of a live session may watch a resource that is well-formed.
type ResourceQuestion struct {
	Token    Token
	Session  Session
	Resource Resource
}

// CheckResource decides. No session is ErrNoSession: a subscription ends for another reason then. No decision and a
// malformed decision are denials; an outage is an error, which opens nothing either.
func (s *Service) CheckResource(ctx context.Context, in CheckResourceRequest) (Decision, error) {
	out, outcome, err := s.checkResource(ctx, in)
	s.Meter.Access(outcome)
	return out, err
}

func (s *Service) checkResource(ctx context.Context, in CheckResourceRequest) (Decision, Outcome, error) {
	if err := in.Resource.wellFormed(); err != nil {
		return Decision{}, Malformed, err
	}
	session, err := s.resolve(ctx, in.Token)
	switch {
	case errors.Is(err, ErrNoSession):
		return Decision{}, Absent, err
	case err != nil:
		return Decision{}, Failed, err
	case s.rules.Bypass != nil:
		return Decision{Allowed: true, Message: "access checks are off for development"}, Allowed, nil
	}
	decision, err := s.decideResource(ctx, ResourceQuestion{Token: in.Token, Session: session, Resource: in.Resource})
	kind, failed := fault.KindOf(err)
	switch {
	case errors.Is(err, ErrMalformed):
		s.Logger.WarnContext(
			ctx, "access decision not understood, denied", "reason", ErrMalformed.Code, "session", in.Token,
			"source", in.Resource.Source, "err", err,
		)
		return Decision{Message: "access denied: the backend gave no clear decision"}, Denied, nil
	case failed && (kind == fault.Unauthenticated || kind == fault.Denied):
		return Decision{Message: fault.Of(err).Message}, Denied, nil
	case failed:
		return Decision{}, Failed, timeoutAsUnavailable(err)
	case decision.Allowed:
		return decision, Allowed, nil
	default:
		return decision, Denied, nil
	}
}

// decideResource is decide for a resource.
func (s *Service) decideResource(ctx context.Context, q ResourceQuestion) (Decision, error) {
	name, err := q.Resource.key()
	if err != nil {
		return Decision{}, err
	}
	return s.decideOnce(ctx, accessKey{q.Token.Key(), name, Watch}, func(ctx context.Context) (Decision, error) {
		return s.Resources.Resource(ctx, q)
	})
}

// key stands for everything that a decision may depend on, in the same few bytes for each resource.
func (r Resource) key() (string, error) {
	text, err := json.Marshal(r) // with its segments in the order of their names
	sum := sha256.Sum256(text)
	return string(sum[:]), err
}
