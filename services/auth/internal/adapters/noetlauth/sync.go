package noetlauth

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/wire"
)

// The auth routes of NoETL (wire contract, section 2).
const (
	routeLogin    = "/api/auth/login"
	routeValidate = "/api/auth/session/validate"
	routeAccess   = "/api/auth/check-playbook-access"
)

// maxRouteAnswer bounds an answer, in bytes; a session takes a few hundred.
const maxRouteAnswer = 256 << 10

// Caller calls a route of NoETL; libs/noetl does.
type Caller interface {
	Do(ctx context.Context, method, path string, in, out any) error
}

var _ auth.Backend = (*Sync)(nil)

// Sync asks NoETL's auth routes. It is safe for concurrent use.
type Sync struct {
	noetl      Caller
	credential string
}

// NewSync makes the backend; credential names NoETL's credential of the session database.
func NewSync(noetl Caller, credential string) *Sync {
	return &Sync{noetl: noetl, credential: credential}
}

// Login asks the login route. It has no member for the duration: NoETL decides it.
func (s *Sync) Login(ctx context.Context, g auth.Grant) (auth.Opened, error) {
	body, err := s.call(
		ctx, routeLogin,
		map[string]any{"auth0_token": g.Token, "auth0_domain": domainOf(g), "client_ip": cmp.Or(g.ClientIP, unknownIP)},
	)
	if refused(err) {
		return auth.Opened{}, fault.Wrap(err, fault.Unauthenticated, "login_refused", "the login was refused")
	}
	if err != nil {
		return auth.Opened{}, upstream(err)
	}
	a, err := wire.RouteAnswer(body)
	if err != nil {
		return auth.Opened{}, err
	}
	return a.Opened(false)
}

// Validate asks the session route.
func (s *Sync) Validate(ctx context.Context, t auth.Token) (auth.Session, error) {
	body, err := s.call(ctx, routeValidate, map[string]any{"session_token": t.Reveal()})
	if refused(err) {
		return auth.Session{}, auth.ErrNoSession
	}
	if err != nil {
		return auth.Session{}, upstream(err)
	}
	a, err := wire.Flat(body)
	if err != nil {
		return auth.Session{}, err
	}
	return a.Session()
}

// Access asks the access route.
func (s *Sync) Access(ctx context.Context, q auth.AccessQuestion) (auth.Decision, error) {
	body, err := s.call(
		ctx, routeAccess,
		map[string]any{"session_token": q.Token.Reveal(), "playbook_path": q.Path, "action": string(q.Permission)},
	)
	if refused(err) {
		return auth.Decision{Message: "access denied"}, nil
	}
	if err != nil {
		return auth.Decision{}, upstream(err)
	}
	a, err := wire.RouteAnswer(body)
	if err != nil {
		return auth.Decision{}, err
	}
	return a.Decision()
}

func (s *Sync) call(ctx context.Context, route string, in map[string]any) (json.RawMessage, error) {
	in["credential"] = s.credential
	var out json.RawMessage
	if err := s.noetl.Do(ctx, http.MethodPost, route, in, &out); err != nil {
		return nil, err
	}
	if len(out) > maxRouteAnswer {
		return nil, auth.ErrMalformed
	}
	return out, nil
}

// refused reports whether NoETL said no with a status: 401 and 403 are verdicts on the user.
func refused(err error) bool {
	f := fault.Of(err)
	return f != nil && (f.Kind == fault.Denied || f.Code == "noetl_401")
}

// hostOf returns the host of an issuer's URL.
func hostOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Host
}
