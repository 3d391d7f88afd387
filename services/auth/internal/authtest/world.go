package authtest

import (
	"log/slog"
	"time"

	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// World is a service on fakes.
type World struct {
	Service     *auth.Service
	Verifier    *Verifier
	Provider    *Provider
	Flows       *Flows
	Backend     *Backend
	Cache       *SessionCache
	Revocations *Revocations
	Logins      *Logins
	Bearers     *Bearers
	Limiter     *Limiter
	Meter       *Meter
	Outages     *outage.Book
}

// NewWorld makes a service on fakes; change may alter its rules. Roles of administrators: admin.
func NewWorld(change ...func(*auth.Rules)) *World {
	w := &World{
		Verifier: &Verifier{
			Identities: map[string]auth.Identity{
				"alice-token": {Issuer: "issuer", Subject: "alice", Email: "alice@example.com", EmailVerified: true},
			},
		},
		Provider:    &Provider{},
		Flows:       &Flows{},
		Backend:     &Backend{},
		Cache:       &SessionCache{},
		Revocations: &Revocations{},
		Logins:      &Logins{},
		Bearers:     &Bearers{},
		Limiter:     &Limiter{},
		Meter:       &Meter{},
		Outages:     outage.New(slog.New(slog.DiscardHandler)),
	}
	rules := auth.Rules{
		MaxSession:    24 * time.Hour,
		Budget:        12 * time.Second,
		UncertainLife: 5 * time.Minute,
		AdminRoles:    []string{"admin"},
	}
	for _, f := range change {
		f(&rules)
	}
	w.Service = auth.New(auth.Deps{
		Verifier:     w.Verifier,
		AccessTokens: w.Verifier,
		Bearers:      w.Bearers,
		Provider:     w.Provider,
		Flows:        w.Flows,
		Spent:        w.Flows,
		Backend:      w.Backend,
		Resources:    w.Backend,
		Cache:        w.Cache,
		Revocations:  w.Revocations,
		Logins:       w.Logins,
		Limiter:      w.Limiter,
		Meter:        w.Meter,
		Outages:      w.Outages,
		Logger:       slog.New(slog.DiscardHandler),
	}, rules)
	return w
}
