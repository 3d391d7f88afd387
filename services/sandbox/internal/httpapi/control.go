package httpapi

import (
	"context"
	"net/http"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// insight is what tests may know of an execution and no server tells.
type insight struct {
	ExecutionID string           `json:"execution_id"`
	Path        string           `json:"path"`
	Status      string           `json:"status"`
	Callback    string           `json:"callback"`
	Reason      string           `json:"cancel_reason,omitempty"`
	Workload    any              `json:"workload"`
	Result      any              `json:"result"`
	Error       *sandbox.Failure `json:"error"`
	Events      []string         `json:"events"` // type and node
}

func insightOf(v sandbox.View) insight {
	i := insight{
		ExecutionID: string(v.ExecutionID), Path: v.Path, Status: v.Status, Callback: v.Callback, Reason: v.Reason,
		Workload: v.Workload, Result: v.Result, Error: v.Failure, Events: []string{},
	}
	for _, e := range v.Events {
		i.Events = append(i.Events, e.Type+" "+e.Node)
	}
	return i
}

// controlRoutes are what tests turn and look at. No server has them, so their errors are the gateway's.
func (a api) controlRoutes(mux *http.ServeMux, behaving *faults, log *requests) {
	mux.HandleFunc("GET "+faultsPath, behaving.set)
	mux.HandleFunc("PUT "+faultsPath, behaving.set)
	mux.HandleFunc("GET /sandbox/requests", log.serve)
	mux.HandleFunc("DELETE /sandbox/requests", log.serve)
	mux.Handle(
		"GET /sandbox/events",
		httpkit.Handle(bound(a, "noetl.list_events", a.Service.Audit), decodeAudit, httpkit.JSON),
	)
	mux.Handle(
		"PUT /sandbox/sessions/{token}",
		httpkit.Handle(bound(a, "noetl.change_session", a.Service.ChangeSession), decodeSession, httpkit.JSON),
	)
	mux.Handle(
		"GET /sandbox/executions/{id}",
		httpkit.Handle(bound(a, "noetl.detail", a.Service.Look), decodeID, shownAs(insightOf)),
	)
}

// shownAs encodes an output in another shape.
func shownAs[Out, Shape any](shape func(Out) Shape) httpkit.Encoder[Out] {
	return func(_ context.Context, w http.ResponseWriter, out Out) error {
		httpkit.WriteJSON(w, http.StatusOK, shape(out))
		return nil
	}
}

func decodeSession(r *http.Request) (sandbox.ChangeSessionRequest, error) {
	in, err := httpkit.DecodeJSON[sandbox.ChangeSessionRequest](httpkit.DefaultMaxBody)(r)
	in.Token = r.PathValue("token")
	return in, err
}
