package httpapi

import (
	"context"
	"net/http"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// SubscriptionOperations are what the listeners ask of subscriptions, each behind its limits.
type SubscriptionOperations struct {
	Open  func(context.Context, subscriptions.OpenRequest) (fanoutwire.Subscription, error)
	Close func(context.Context, subscriptions.CloseRequest) (struct{}, error)
	List  func(context.Context, subscriptions.Caller) ([]fanoutwire.Subscription, error)
}

// BindSubscriptions is the table of these operations. Opening one may have to wait for the access playbook.
func BindSubscriptions(svc *subscriptions.Service, o kit.Observer) SubscriptionOperations {
	limits := kit.Limits{Deadline: deadline, Concurrency: clientCalls}
	opening := kit.Limits{Deadline: commandDeadline, Concurrency: clientCalls}
	return SubscriptionOperations{
		Open: kit.Bind(o, "fanout.subscribe", opening, svc.Open),
		Close: kit.Bind(o, "fanout.unsubscribe", limits,
			func(ctx context.Context, in subscriptions.CloseRequest) (struct{}, error) {
				return struct{}{}, svc.Close(ctx, in)
			}),
		List: kit.Bind(o, "fanout.subscriptions", limits, svc.List),
	}
}

// maxSubscribe bounds the body of a request, in bytes: a path may have 6 KiB, and JSON may write a byte as six.
const maxSubscribe = 48 << 10

// Subscriptions serves /api/subscriptions. The session is in the header or the cookie.
type Subscriptions struct {
	Set      SubscriptionOperations
	Sessions SessionResolver
	Rate     *kit.Rates // openings per session
}

// subscribeBody is the body of POST.
type subscribeBody struct {
	Source   string `json:"source"`
	Path     string `json:"path"`
	Scope    string `json:"scope"`
	ClientID string `json:"client_id"`
}

// Register adds the routes.
func (h *Subscriptions) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/subscriptions", func(w http.ResponseWriter, r *http.Request) { h.open(w, r, "") })
	mux.HandleFunc("POST /api/subscriptions/firestore", func(w http.ResponseWriter, r *http.Request) {
		h.open(w, r, fanoutwire.SourceFirestore)
	})
	mux.HandleFunc("GET /api/subscriptions", h.list)
	mux.HandleFunc("DELETE /api/subscriptions/{id}", h.close)
}

func (h *Subscriptions) caller(r *http.Request) (subscriptions.Caller, error) {
	c := subscriptions.Caller{Token: sessions.TokenOf(r)}
	var err error
	c.Session, err = h.Sessions.Resolve(r.Context(), c.Token)
	return c, err
}

func (h *Subscriptions) open(w http.ResponseWriter, r *http.Request, source string) {
	ctx := r.Context()
	caller, err := h.caller(r)
	if err == nil {
		err = h.Rate.Check(caller.Token.Key().String())
	}
	var body subscribeBody
	if err == nil {
		body, err = httpkit.DecodeJSON[subscribeBody](maxSubscribe)(r)
	}
	switch {
	case err != nil:
	case source == "":
		source = body.Source
	case body.Source != "" && body.Source != source:
		err = fault.New(fault.Invalid, "bad_source", "this route is for the source firestore")
	}
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	out, err := h.Set.Open(ctx, subscriptions.OpenRequest{
		Caller: caller, Source: source, Path: body.Path, Scope: body.Scope, ClientID: body.ClientID,
	})
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	httpkit.WriteJSON(w, http.StatusOK, out)
}

func (h *Subscriptions) list(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	caller, err := h.caller(r)
	var list []fanoutwire.Subscription
	if err == nil {
		list, err = h.Set.List(ctx, caller)
	}
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	httpkit.WriteJSON(w, http.StatusOK, map[string]any{"subscriptions": list})
}

func (h *Subscriptions) close(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	caller, err := h.caller(r)
	if err == nil {
		_, err = h.Set.Close(ctx, subscriptions.CloseRequest{Caller: caller, ID: r.PathValue("id")})
	}
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
