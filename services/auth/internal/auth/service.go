package auth

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"
)

// Deps are the ports of a [Service]. Cache may be nil: the backend local has none.
type Deps struct {
	Verifier    TokenVerifier
	Backend     Backend
	Cache       SessionCache
	Revocations Revocations
	Meter       Meter
	Logger      *slog.Logger
}

// Rules are the limits of a [Service].
type Rules struct {
	// MaxSession caps a login's duration and is how long a revocation of unknown end lasts.
	MaxSession time.Duration
	// Budget is how long one question to the backend may take in all.
	Budget time.Duration
	// UncertainLife is how long a session counts whose backend names no end.
	UncertainLife time.Duration
	// Bypass, if not nil, is the user of every request: for development only.
	Bypass *User
}

// Service holds the use cases. It is safe for concurrent use.
type Service struct {
	Deps
	rules   Rules
	ender   SessionEnder // nil if the backend has none
	flights singleflight.Group
	absent  *absentees
}

// New makes a service.
func New(d Deps, r Rules) *Service {
	if d.Cache == nil {
		d.Cache = noCache{}
	}
	ender, _ := d.Backend.(SessionEnder)
	return &Service{Deps: d, rules: r, ender: ender, absent: newAbsentees()}
}

var _ SessionCache = noCache{}

// noCache is the cache of a backend that needs none.
type noCache struct{}

func (noCache) Get(context.Context, Token) (Record, bool, error) { return Record{}, false, nil }
func (noCache) Fill(context.Context, Token, Session) error       { return nil }
func (noCache) Deactivate(context.Context, Token, Session) error { return nil }
