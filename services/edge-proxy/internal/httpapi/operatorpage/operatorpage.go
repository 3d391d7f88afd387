// Package operatorpage is the console of those who run the gateway: how its parts are, who is connected, what is under
// way, what partners delivered. The server writes the pages; a small script adds what is live. Whatever came from
// clients and partners is shown as text. No page holds a session's token.
package operatorpage

import (
	"context"
	"embed"
	"net/http"
	"net/url"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// Prefix is where the pages are.
const Prefix = "/operator/"

//go:embed static
var static embed.FS

// Deps are what the pages need.
type Deps struct {
	API      *httpapi.API
	Service  *edge.Service
	Observer kit.Observer
	Activity *edge.Activity
}

// Pages are the routes. They are safe for concurrent use.
type Pages struct {
	Deps
	listeners use[ingresswire.Empty, ingresswire.ListenersResponse]
	list      use[ingresswire.DeliveriesRequest, ingresswire.DeliveriesResponse]
	get       use[ingresswire.DeliveryRequest, ingresswire.Detail]

	status        use[operatorwire.Empty, operatorwire.StatusResponse]
	streams       use[operatorwire.StreamsRequest, operatorwire.StreamsResponse]
	sessions      use[operatorwire.Page, operatorwire.SessionsResponse]
	session       use[operatorwire.SessionRequest, operatorwire.Session]
	requests      use[operatorwire.RequestsRequest, operatorwire.RequestsResponse]
	request       use[operatorwire.RequestRequest, operatorwire.RequestDetail]
	subscriptions use[operatorwire.Page, operatorwire.SubscriptionsResponse]
	tools         use[operatorwire.Empty, operatorwire.ToolsResponse]
}

// use is a use case for operators.
type use[In, Out any] func(context.Context, edge.ByOperator[In]) (Out, error)

// Register adds the pages.
func Register(mux *http.ServeMux, d Deps) {
	o, l, svc := d.Observer, operator.Limits(), d.Service
	p := &Pages{
		Deps:      d,
		listeners: kit.Bind(o, "edge.listeners", l, svc.Listeners),
		list:      kit.Bind(o, "edge.deliveries", l, svc.ListDeliveries),
		get:       kit.Bind(o, "edge.delivery", l, svc.Delivery),

		status:        kit.Bind(o, "edge.status", l, svc.ReplicaStatus),
		streams:       kit.Bind(o, "edge.streams", l, svc.ListStreams),
		sessions:      kit.Bind(o, "edge.sessions", l, svc.ListSessions),
		session:       kit.Bind(o, "edge.session", l, svc.GetSession),
		requests:      kit.Bind(o, "edge.requests", l, svc.ListRequests),
		request:       kit.Bind(o, "edge.request", l, svc.GetRequest),
		subscriptions: kit.Bind(o, "edge.subscriptions", l, svc.ListSubscriptions),
		tools:         kit.Bind(o, "edge.tools", l, svc.ListTools),
	}
	mux.HandleFunc("GET "+signedOutPath, showSignedOut)
	mux.Handle(Prefix, p.admit(p.routes()))
	mux.HandleFunc("GET /operator/assets/{file}", asset) // it holds nothing that is anybody's
}

// routes are those that only operators reach.
func (p *Pages) routes() http.Handler {
	pages := http.NewServeMux()
	for path, show := range map[string]func(http.ResponseWriter, request) error{
		"{$}":             p.showOverview,
		"find":            p.find,
		"streams":         p.showStreams,
		"sessions":        p.showSessions,
		"sessions/{name}": p.showSession,
		"requests":        p.showRequests,
		"requests/{name}": p.showRequest,
		"subscriptions":   p.showSubscriptions,
		"tools":           p.showTools,
		"deliveries":      p.showList,
		"deliveries/{id}": p.showDelivery,
		"listeners":       p.showListeners,
	} {
		pages.HandleFunc("GET "+Prefix+path, p.serve(show))
	}
	pages.HandleFunc("POST /operator/sign-out", p.serve(p.signOut))
	for _, a := range p.actions() {
		path := Prefix + a.of + "/{name}/" + a.verb
		pages.HandleFunc("GET "+path, p.serve(a.ask))
		pages.HandleFunc("POST "+path, p.serve(a.run))
	}
	pages.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, fault.New(fault.NotFound, "no_such_route", "there is nothing at this path"))
	})
	return pages
}

// request is a request whose caller may see the pages.
type request struct {
	*http.Request
	caller edge.Caller
}

type callerKey struct{}

// admit lets operators pass. Whoever is not logged in is sent to log in, and comes back.
func (p *Pages) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := p.API.Identify(r)
		if kind, _ := fault.KindOf(err); err != nil && kind == fault.Unauthenticated &&
			(r.Method == http.MethodGet || r.Method == http.MethodHead) {
			redirect(w, "/api/auth/browser/login?return_to="+url.QueryEscape(r.URL.RequestURI()))
			return
		}
		if err == nil {
			err = p.Service.Operate(r.Context(), caller, "page")
		}
		if err != nil {
			writeError(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// serve writes the error of a page as a page.
func (p *Pages) serve(page func(w http.ResponseWriter, r request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := r.Context().Value(callerKey{}).(edge.Caller)
		if err := page(w, request{r, caller}); err != nil {
			writeError(w, r, err)
		}
	}
}

func by[T any](r request, in T) edge.ByOperator[T] {
	return edge.ByOperator[T]{Caller: r.caller, Request: in}
}

func redirect(w http.ResponseWriter, to string) {
	guard(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// guard sets what every page has. A form must say where it comes from, so that the policy is not no-referrer, which
// makes browsers send Origin: null.
func guard(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func asset(w http.ResponseWriter, r *http.Request) {
	types := map[string]string{
		"operator.css": "text/css; charset=utf-8", "operator.js": "text/javascript; charset=utf-8",
	}
	name := r.PathValue("file")
	text, err := static.ReadFile("static/" + name)
	if err != nil || types[name] == "" {
		httpkit.NotFound(w, r)
		return
	}
	guard(w.Header())
	w.Header().Set("Content-Type", types[name])
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(text) //nolint:gosec // an embedded file
}
