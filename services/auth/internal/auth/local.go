package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

var errNotInPolicy = fault.New(
	fault.Denied, "not_in_policy",
	"this account has no access here: an administrator must give it a role (its address must be verified)",
)

var (
	_ Backend           = (*Local)(nil)
	_ ResourceAuthority = (*Local)(nil)
	_ SessionEnder      = (*Local)(nil)
)

// Local is the backend that needs no NoETL: users are verified identities, rights come from
// a policy, sessions are kept in a store of ours. It is safe for concurrent use.
type Local struct {
	store  SessionStore
	policy PolicySource
}

// NewLocal makes the backend.
func NewLocal(store SessionStore, policy PolicySource) *Local {
	return &Local{store: store, policy: policy}
}

// Login opens a session for a person whom the policy knows.
func (l *Local) Login(ctx context.Context, g Grant) (Opened, error) {
	roles := l.policy.Current().RolesOf(g.Identity)
	if len(roles) == 0 {
		return Opened{}, errNotInPolicy
	}
	token := authwire.NewToken(newSecret())
	kept := LocalSession{
		Identity:  g.Identity,
		UserID:    userID(g.Identity),
		ExpiresAt: time.Now().Add(g.Duration).UTC().Truncate(time.Millisecond),
	}
	if err := l.store.Create(ctx, token, kept); err != nil {
		return Opened{}, timeoutAsUnavailable(err)
	}
	return Opened{Token: token, Session: kept.session(roles)}, nil
}

// Validate looks the session up. Its roles are those of the policy in force now, so that a
// person who was taken out of it is out immediately.
func (l *Local) Validate(ctx context.Context, t Token) (Session, error) {
	kept, found, err := l.store.Get(ctx, t)
	if err != nil {
		return Session{}, timeoutAsUnavailable(err)
	}
	if !found {
		return Session{}, ErrNoSession
	}
	roles := l.policy.Current().RolesOf(kept.Identity)
	if len(roles) == 0 {
		return Session{}, ErrNoSession
	}
	return kept.session(roles), nil
}

// Access asks the policy.
func (l *Local) Access(_ context.Context, q AccessQuestion) (Decision, error) {
	if l.policy.Current().Allows(q.Session.User.Roles, q.Permission, q.Path) {
		return Decision{Allowed: true, Message: "access granted"}, nil
	}
	return Decision{Message: "access denied: no role of yours allows this"}, nil
}

// Resource asks the policy.
func (l *Local) Resource(_ context.Context, q ResourceQuestion) (Decision, error) {
	if l.policy.Current().AllowsResource(q.Session.User, q.Resource) {
		return Decision{Allowed: true, Message: "access granted"}, nil
	}
	return Decision{Message: "access denied: no role of yours allows this"}, nil
}

// EndSession deletes the session.
func (l *Local) EndSession(ctx context.Context, t Token) error { return l.store.Delete(ctx, t) }

func (s LocalSession) session(roles []string) Session {
	name := s.Identity.Name
	if name == "" {
		name = s.Identity.Email
	}
	return Session{
		User:      User{ID: s.UserID, Email: s.Identity.Email, DisplayName: name, Roles: roles},
		ExpiresAt: s.ExpiresAt,
	}
}

// newSecret makes 256 random bits.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// userID is stable for an issuer and subject, positive, and at most 2^53-1 so that
// JavaScript clients keep every digit.
func userID(id Identity) int64 {
	sum := sha256.Sum256([]byte(id.Issuer + "\x00" + id.Subject))
	return max(1, int64(binary.BigEndian.Uint64(sum[:8])>>11))
}
