package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// registerOwnSessions adds the routes by which people see and end their own sessions.
func (a *API) registerOwnSessions(mux *http.ServeMux) {
	list := kit.Bind(a.Observer, "edge.own_sessions", AuthLimits(), a.Service.OwnSessions)
	end := kit.Bind(a.Observer, "edge.end_own_session", AuthLimits(), a.Service.EndOwnSession)
	mux.Handle("GET /api/me/sessions", a.Protect(httpkit.Handle(list, a.readOwnSessions, unstored)))
	mux.Handle("DELETE /api/me/sessions/{id}", a.Protect(httpkit.Handle(end, a.readOwnSession,
		func(_ context.Context, w http.ResponseWriter, _ operatorwire.Empty) error {
			w.WriteHeader(http.StatusNoContent)
			return nil
		})))
}

// unstored writes an answer that no cache keeps: it is one person's.
func unstored(ctx context.Context, w http.ResponseWriter, out operatorwire.SessionsResponse) error {
	w.Header().Set("Cache-Control", "no-store")
	return httpkit.JSON(ctx, w, out)
}

func (a *API) readOwnSessions(r *http.Request) (in edge.OwnSessionsRequest, err error) {
	if in.Caller, err = a.CallerOf(r.Context()); err != nil {
		return in, err
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return in, fault.Wrap(err, fault.Invalid, "bad_parameter", "the query of the URL cannot be read")
	}
	in.Cursor = q.Get("cursor")
	if text := q.Get("limit"); text != "" {
		if in.Limit, err = strconv.Atoi(text); err != nil || in.Limit < 1 {
			return in, fault.New(fault.Invalid, "bad_limit", "limit must be 1 to "+strconv.Itoa(operatorwire.MaxPage))
		}
	}
	return in, nil
}

func (a *API) readOwnSession(r *http.Request) (in edge.EndOwnSessionRequest, err error) {
	in.ID = r.PathValue("id")
	in.Caller, err = a.CallerOf(r.Context())
	return in, err
}
