package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
)

// AuthLimits bound an operation that the auth service answers: a little more than its own 12 s, and below the
// browsers' 15 s.
func AuthLimits() kit.Limits { return kit.Limits{Deadline: 13 * time.Second, Concurrency: 1024} }

// LoginLimits bound a login in one replica. Logins are slow and cost NoETL an execution each; they must not crowd out
// the rest.
func LoginLimits() kit.Limits {
	l := AuthLimits()
	l.Concurrency = 128
	return l
}

// PerAddress rejects the calls of an address that makes too many. It needs [httpkit.Proxies.Wrap]
// around it. Health, partners' deliveries (their listener limits them) and workers' callbacks
// come from few addresses by nature and do not count.
func PerAddress(rates *kit.Rates, next http.Handler) http.Handler {
	if rates == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/health",
			path == "/healthz",
			path == "/readyz",
			strings.HasPrefix(path, "/ingress/"),
			strings.HasPrefix(path, "/api/internal/"):
		default:
			if err := rates.Check(httpkit.AddressKey(httpkit.ClientOf(r.Context()))); err != nil {
				httpkit.WriteError(r.Context(), w, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// LimitAuthCalls rejects the auth calls of an address that makes too many, but not those that show a session: what
// others
// behind the same address send must not keep anybody from logging out.
func (a *API) LimitAuthCalls(next http.Handler) http.Handler {
	if a.AuthCalls == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if limited := a.AuthCalls.Check(httpkit.AddressKey(httpkit.ClientOf(r.Context()))); limited != nil {
			if _, err := a.Identify(r); err != nil {
				httpkit.WriteError(r.Context(), w, limited)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// LimitLogins rejects the logins of an address that makes too many.
func (a *API) LimitLogins(next http.Handler) http.Handler {
	if a.Logins == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.Logins.Check(httpkit.AddressKey(httpkit.ClientOf(r.Context()))); err != nil {
			if a.Logger != nil {
				a.Logger.InfoContext(r.Context(), "audit",
					"event", "login_refused", "account", "", "reason", fault.Of(err).Code)
			}
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
