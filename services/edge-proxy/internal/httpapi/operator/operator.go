// Package operator serves those who run the gateway: what partners delivered and what became of it, and what the
// gateway itself is doing. All of it is behind one check of the caller's role, whatever the method and the rest of the
// path.
package operator

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

// Prefix is where the routes about deliveries are.
const Prefix = "/api/ingress/"

// Deps are what the routes need.
type Deps struct {
	API      *httpapi.API
	Service  *edge.Service
	Observer kit.Observer
	Origins  *weborigin.Rules
	// Closing ends the tails.
	Closing context.Context //nolint:containedctx // it ends streams, which have contexts of their own
	Metrics prometheus.Registerer
}

// Operator is the routes. It is safe for concurrent use.
type Operator struct {
	Deps
	tails tails
}

// New makes the routes.
func New(d Deps) (*Operator, error) {
	o := &Operator{Deps: d, tails: newTails()}
	return o, o.tails.register(d.Metrics)
}

// Limits bound one operation; ingress answers from memory or reads a bounded part of a stream.
func Limits() kit.Limits { return kit.Limits{Deadline: 10 * time.Second, Concurrency: 32} }

// Register adds the routes.
func (o *Operator) Register(mux *http.ServeMux) {
	svc, routes := o.Service, http.NewServeMux()
	get := func(path string, h http.Handler) { routes.Handle("GET "+Prefix+path, h) }
	post := func(path string, h http.Handler) { routes.Handle("POST "+Prefix+path, h) }
	get("listeners", answer(o, "edge.listeners", svc.Listeners, readNothing, httpkit.JSON))
	get("deliveries", answer(o, "edge.deliveries", svc.ListDeliveries, readFilter, httpkit.JSON))
	get("deliveries/{id}", answer(o, "edge.delivery", svc.Delivery, readDelivery, httpkit.JSON))
	get("tail", http.HandlerFunc(o.serveTail))
	post("deliveries/{id}/redrive", answer(o, "edge.redrive", svc.RedriveDelivery, readRedrive, noContent))
	post("deliveries/{id}/discard", answer(o, "edge.discard", svc.DiscardDelivery, readDiscard, noContent))
	post("listeners/{name}/pause", answer(o, "edge.pause", svc.PauseListener, readListener, noContent))
	post("listeners/{name}/resume", answer(o, "edge.resume", svc.ResumeListener, readListener, noContent))
	post("listeners/{name}/redrive", answer(o, "edge.redrive_all", svc.RedriveListener, readRedriveAll, httpkit.JSON))
	post("listeners/{name}/try-rules", answer(o, "edge.try_rules", svc.TryRules, readRules, httpkit.JSON))
	mux.Handle(Prefix, o.API.Protect(o.admit(httpkit.Routes(routes))))
	o.registerGateway(mux)
}

// admit lets operators pass.
func (o *Operator) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := o.API.CallerOf(r.Context())
		if err == nil {
			err = o.Service.Operate(r.Context(), caller, "api")
		}
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer serves one operation.
func answer[In, Out any](
	o *Operator, name string, use func(context.Context, edge.ByOperator[In]) (Out, error),
	read func(*http.Request) (In, error), encode httpkit.Encoder[Out],
) http.Handler {
	decode := func(r *http.Request) (in edge.ByOperator[In], err error) {
		if in.Caller, err = o.API.CallerOf(r.Context()); err == nil {
			in.Request, err = read(r)
		}
		return in, err
	}
	return httpkit.Handle(kit.Bind(o.Observer, name, Limits(), use), decode, encode)
}

func noContent[T any](_ context.Context, w http.ResponseWriter, _ T) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}
