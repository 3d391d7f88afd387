package httpapi

import (
	"net/http"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/httpkit"
)

// me is who calls: what a page wants to know that has only the cookie of the browser login, which scripts cannot read.
type me struct {
	User      authwire.User `json:"user"`
	ExpiresAt time.Time     `json:"expires_at"`
	Operator  bool          `json:"operator,omitempty"` // they may see the operators' pages
}

// RegisterMe adds the route that tells who calls.
func (a *API) RegisterMe(mux *http.ServeMux) {
	mux.Handle("GET /api/me", a.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		caller, err := a.CallerOf(r.Context())
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		out := me{
			User: caller.Session.User, ExpiresAt: caller.Session.ExpiresAt.UTC(),
			Operator: a.Service.IsOperator(caller),
		}
		if out.User.Roles == nil {
			out.User.Roles = []string{}
		}
		httpkit.WriteJSON(w, http.StatusOK, out)
	})))
	a.registerOwnSessions(mux)
}
