package operator

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// GatewayPrefix is where the routes about the gateway itself are.
const GatewayPrefix = "/api/operator/"

// registerGateway adds the routes about the gateway itself: who is connected, sessions, requests, subscriptions, and
// how the replicas are.
func (o *Operator) registerGateway(mux *http.ServeMux) {
	svc, routes := o.Service, http.NewServeMux()
	get := func(path string, h http.Handler) { routes.Handle("GET "+GatewayPrefix+path, h) }
	post := func(path string, h http.Handler) { routes.Handle("POST "+GatewayPrefix+path, h) }
	get("status", answer(o, "edge.status", svc.ReplicaStatus, readNoQuery, httpkit.JSON))
	post("log-level",
		answer(o, "edge.log_level", svc.SetLogLevel, readBody[operatorwire.LogLevelRequest], httpkit.JSON))
	get("sessions", answer(o, "edge.sessions", svc.ListSessions, readPage, httpkit.JSON))
	get("sessions/{id}", answer(o, "edge.session", svc.GetSession, readSession, httpkit.JSON))
	post("sessions/{id}/revoke", answer(o, "edge.revoke_session", svc.RevokeSession, readRevoke, httpkit.JSON))
	post("sessions/revoke", answer(
		o, "edge.revoke_user", svc.RevokeUser, readBody[operatorwire.RevokeUserRequest], httpkit.JSON))
	get("streams", answer(o, "edge.streams", svc.ListStreams, readStreams, httpkit.JSON))
	post("streams/{client_id}/close", answer(o, "edge.close_stream", svc.CloseStream, readCloseStream, httpkit.JSON))
	get("requests", answer(o, "edge.requests", svc.ListRequests, readRequests, httpkit.JSON))
	get("requests/{id}", answer(o, "edge.request", svc.GetRequest, readRequest, httpkit.JSON))
	get("subscriptions", answer(o, "edge.subscriptions", svc.ListSubscriptions, readPage, httpkit.JSON))
	post("subscriptions/{id}/close", answer(
		o, "edge.close_subscription", svc.CloseSubscription, readCloseSubscription, noContent))
	get("tools", answer(o, "edge.tools", svc.ListTools, readNoQuery, httpkit.JSON))
	mux.Handle(GatewayPrefix, o.API.Protect(o.admit(httpkit.Routes(routes))))
}

func readNoQuery(r *http.Request) (operatorwire.Empty, error) {
	_, err := Query(r)
	return operatorwire.Empty{}, err
}

// readBody reads a body that is the request.
func readBody[T any](r *http.Request) (T, error) { return read[T](r, required) }

// pageNames are the parameters of a page, with others.
func pageNames(others ...string) []string {
	return append([]string{"user", "cursor", "limit"}, others...)
}

// Page reads which part of a list is asked for.
func Page(q url.Values) (operatorwire.Page, error) {
	page := operatorwire.Page{Cursor: q.Get("cursor"), User: q.Get("user")}
	var err error
	if text := q.Get("limit"); text != "" {
		if page.Limit, err = strconv.Atoi(text); err != nil || page.Limit < 1 {
			return page, fault.New(fault.Invalid, "bad_limit", "limit must be 1 to "+strconv.Itoa(operatorwire.MaxPage))
		}
	}
	return page, nil
}

func readPage(r *http.Request) (operatorwire.Page, error) {
	q, err := Query(r, pageNames()...)
	if err != nil {
		return operatorwire.Page{}, err
	}
	return Page(q)
}

func readStreams(r *http.Request) (in operatorwire.StreamsRequest, err error) {
	q, err := Query(r, pageNames("replica")...)
	if err != nil {
		return in, err
	}
	in.Replica = q.Get("replica")
	in.Page, err = Page(q)
	return in, err
}

func readRequests(r *http.Request) (in operatorwire.RequestsRequest, err error) {
	q, err := Query(r, pageNames("all")...)
	if err != nil {
		return in, err
	}
	switch q.Get("all") {
	case "", "false":
	case "true":
		in.All = true
	default:
		return in, fault.New(fault.Invalid, "bad_all", "all must be true or false")
	}
	in.Page, err = Page(q)
	return in, err
}

func readSession(r *http.Request) (operatorwire.SessionRequest, error) {
	_, err := Query(r)
	return operatorwire.SessionRequest{ID: r.PathValue("id")}, err
}

func readRevoke(r *http.Request) (operatorwire.SessionRequest, error) {
	_, err := read[struct{}](r, optional)
	return operatorwire.SessionRequest{ID: r.PathValue("id")}, err
}

func readCloseStream(r *http.Request) (operatorwire.CloseStreamRequest, error) {
	_, err := read[struct{}](r, optional)
	return operatorwire.CloseStreamRequest{ClientID: r.PathValue("client_id")}, err
}

func readRequest(r *http.Request) (operatorwire.RequestRequest, error) {
	_, err := Query(r)
	return operatorwire.RequestRequest{ID: r.PathValue("id")}, err
}

func readCloseSubscription(r *http.Request) (operatorwire.CloseSubscriptionRequest, error) {
	_, err := read[struct{}](r, optional)
	return operatorwire.CloseSubscriptionRequest{ID: r.PathValue("id")}, err
}
