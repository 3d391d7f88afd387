package auth

import (
	"context"
	"log/slog"
	"time"

	"github.com/noetl/gateway/libs/outage"
)

// Deps are the ports of a [Service]. Cache may be nil: the backend local has none. Provider may
// be nil: then browsers cannot log in by code. Limiter may be nil: then logins are not limited.
type Deps struct {
	Verifier     TokenVerifier
	AccessTokens AccessVerifier
	Bearers      Bearers
	Provider     IdentityProvider
	Flows        Flows
	Spent        Spent
	Backend      Backend
	Resources    ResourceAuthority
	Cache        SessionCache
	Revocations  Revocations
	Logins       Logins
	Limiter      LoginLimiter
	Meter        Meter
	Logger       *slog.Logger
	Outages      *outage.Book // hears whether the session cache can be used; nil for nobody
}

// Rules are the limits of a [Service].
type Rules struct {
	// MaxSession caps a login's duration and is how long a revocation of unknown end lasts.
	MaxSession time.Duration
	// Budget is how long one question to the backend may take in all.
	Budget time.Duration
	// UncertainLife is how long a session counts whose backend names no end.
	UncertainLife time.Duration
	// AccessLife is how long an access decision is believed without asking again; 0 is not at all.
	AccessLife time.Duration
	// AdminRoles are the roles whose holders may end the sessions of others.
	AdminRoles []string
	// RejectUnverified rejects logins whose token says that its email address is not verified: NoETL gives a new user
	// the roles of everybody with that address. The backend local gives such a login no roles.
	RejectUnverified bool
	// CallbackURL is the callback route as browsers reach it; empty if only the edge knows.
	CallbackURL string
	// Bypass, if not nil, is the user of every request: for development only.
	Bypass *User
}

// Service holds the use cases. It is safe for concurrent use.
type Service struct {
	Deps
	rules       Rules
	ender       SessionEnder // nil if the backend has none
	asksFirst   bool         // whether a token is revoked, before the backend: the local one costs as little
	validations *flights[Session]
	decisions   *flights[Decision]
	exchanges   *flights[Token]
	noRoom      pause // of the store of exchanges
	absent      *negativeCache
	decided     *accessCache
	cacheOutage *outage.Dependency
}

// New makes a service.
func New(d Deps, r Rules) *Service {
	asksFirst := d.Cache != nil
	if d.Cache == nil {
		d.Cache = noCache{}
	}
	ender, _ := d.Backend.(SessionEnder)
	if d.Limiter == nil {
		d.Limiter = noLimit{}
	}
	return &Service{
		Deps: d, rules: r, ender: ender, asksFirst: asksFirst, absent: newNegativeCache(),
		decided:     newAccessCache(r.AccessLife),
		cacheOutage: d.Outages.Of("session_cache", "", "nats"),
		validations: newFlights[Session](r.Budget), decisions: newFlights[Decision](r.Budget),
		exchanges: newFlights[Token](r.Budget),
	}
}

var _ SessionCache = noCache{}

// noCache is the cache of a backend that needs none.
type noCache struct{}

func (noCache) Get(context.Context, Token) (Record, bool, error) { return Record{}, false, nil }
func (noCache) Fill(context.Context, Token, Session) error       { return nil }
func (noCache) Renew(context.Context, Token, Session) error      { return nil }
func (noCache) Deactivate(context.Context, Token, Session) error { return nil }

var _ LoginLimiter = noLimit{}

type noLimit struct{}

func (noLimit) Check(string) error { return nil }
