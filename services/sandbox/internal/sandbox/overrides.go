package sandbox

import (
	"context"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// override is what became of a session after its login.
type override struct {
	expires time.Time // zero: as its token says
	ended   bool
}

// overrides are the sessions that were changed. Bounded: beyond maxOverrides the oldest change goes.
type overrides struct {
	mu    sync.Mutex
	known map[string]override
	order []string
}

func (o *overrides) get(token string) override {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[token]
}

func (o *overrides) set(token string, change func(*override)) override {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil {
		o.known = map[string]override{}
	}
	now, ok := o.known[token]
	change(&now)
	o.known[token] = now
	if !ok {
		o.order = append(o.order, token)
	}
	if len(o.order) > maxOverrides {
		delete(o.known, o.order[0])
		o.order = o.order[1:]
	}
	return now
}

// session returns the live session of a token, as it is now, and false if it has none.
func (s *Service) session(token string) (session, bool) {
	ses, ok := s.deps.Directory.parseSession(token)
	if !ok {
		return session{}, false
	}
	change := s.overrides.get(token)
	if !change.expires.IsZero() {
		ses.expires = change.expires
	}
	return ses, !change.ended && time.Now().Before(ses.expires)
}

// ChangeSessionRequest prolongs, shortens or ends a session at the authority.
type ChangeSessionRequest struct {
	Token     string     `json:"-"`
	ExpiresAt *time.Time `json:"expires_at"`
	Active    *bool      `json:"active"`
	KV        bool       `json:"kv"` // changes the record in NATS too
}

// SessionView is a session as the authority has it.
type SessionView struct {
	SessionToken string    `json:"session_token"`
	UserID       int64     `json:"user_id"`
	ExpiresAt    time.Time `json:"expires_at"`
	Active       bool      `json:"active"`
}

// ChangeSession changes what is answered about a session from now on.
func (s *Service) ChangeSession(ctx context.Context, in ChangeSessionRequest) (SessionView, error) {
	ses, ok := s.deps.Directory.parseSession(in.Token)
	switch {
	case !ok:
		return SessionView{}, fault.New(fault.NotFound, "unknown_session", "the sandbox made no such session")
	case in.ExpiresAt == nil && in.Active == nil:
		return SessionView{}, invalid("no_change", "expires_at (RFC 3339) or active must say what changes")
	case in.KV && s.deps.Sessions == nil:
		return SessionView{}, fault.New(fault.Conflict, "no_nats", "servers of this generation have no NATS")
	}
	change := s.overrides.set(in.Token, func(o *override) {
		if in.ExpiresAt != nil {
			o.expires = *in.ExpiresAt
		}
		if in.Active != nil {
			o.ended = !*in.Active
		}
	})
	if !change.expires.IsZero() {
		ses.expires = change.expires.UTC()
	}
	if in.KV {
		if err := s.deps.Sessions.Put(ctx, s.record(ses, !change.ended)); err != nil {
			return SessionView{}, err
		}
	}
	return SessionView{SessionToken: in.Token, UserID: ses.user.ID, ExpiresAt: ses.expires, Active: !change.ended}, nil
}
