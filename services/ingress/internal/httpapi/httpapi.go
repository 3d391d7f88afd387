// Package httpapi is the listener for partners.
package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Register adds POST /ingress/{listener}. maxBody is in bytes. l bounds one delivery, dispatch included, and how many
// there are concurrently: each holds its body and a call to NoETL.
func Register(mux *http.ServeMux, svc *ingress.Service, o kit.Observer, l kit.Limits, maxBody int64) {
	operations{
		find:      kit.Bind(o, "ingress.find", l, svc.Find),
		deliver:   kit.Bind(o, "ingress.deliver", l, svc.Deliver),
		handshake: kit.Bind(o, "ingress.handshake", l, svc.Handshake),
	}.register(mux, maxBody)
}

// operations of one route: a delivery is read only if its listener was found.
type operations struct {
	find      func(context.Context, ingress.FindRequest) (ingress.Listener, error)
	deliver   func(context.Context, ingress.DeliverRequest) (ingress.DeliverResponse, error)
	handshake handshakeOperation
}

func (o operations) register(mux *http.ServeMux, maxBody int64) {
	decode := func(r *http.Request) (ingress.DeliverRequest, error) { return o.decode(r, maxBody) }
	mux.Handle("POST /ingress/{listener}", httpkit.HandleWith(o.deliver, decode, encode, writeRejection))
	other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // a longer or an empty path is no listener's
			writeRejection(
				r.Context(), w,
				fault.New(fault.NotFound, string(ingress.UnknownListener), "there is no such listener"),
			)
			return
		}
		w.Header().Set("Allow", http.MethodPost)
		httpkit.WriteJSON(
			w,
			http.StatusMethodNotAllowed,
			httpkit.ErrorBody{
				Error: "deliveries are sent with POST to /ingress/{listener}",
				Code:  "method_not_allowed",
			},
		)
	})
	handshakes := o.handshakes(other)
	mux.Handle("GET /ingress/{listener}", handshakes)
	mux.Handle("OPTIONS /ingress/{listener}", handshakes)
	mux.Handle("/ingress/", other)
}

// decode finds the listener first: only a delivery to one that exists is read.
func (o operations) decode(r *http.Request, maxBody int64) (ingress.DeliverRequest, error) {
	in := ingress.DeliverRequest{
		Listener: r.PathValue("listener"), Client: httpkit.AddressKey(httpkit.ClientOf(r.Context())),
	}
	senderOf(r, &in)
	find := ingress.FindRequest{Listener: in.Listener, Client: in.Client}
	var err error
	if in.Found, err = o.find(r.Context(), find); err != nil {
		return in, err
	}
	in.Headers = make(map[string][]string, len(r.Header))
	for name, values := range r.Header {
		in.Headers[strings.ToLower(name)] = values
	}
	in.Body, err = httpkit.ReadBody(r, maxBody)
	if kind, failed := fault.KindOf(err); failed && kind == fault.TooLarge {
		in.TooLarge = true // rejected by the use case, which counts it
		return in, nil
	}
	return in, err
}

func encode(_ context.Context, w http.ResponseWriter, out ingress.DeliverResponse) error {
	if out.Answer != nil {
		writeAnswer(w, *out.Answer)
		return nil
	}
	httpkit.WriteJSON(w, http.StatusAccepted, map[string]string{"status": "accepted", "execution_id": out.ExecutionID})
	return nil
}

// rejection is the body that senders of the contract read; error says the same for people.
type rejection struct {
	Status string `json:"status"` // "rejected"
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

func writeRejection(_ context.Context, w http.ResponseWriter, err error) {
	f := fault.Of(err)
	httpkit.RetryAfter(w, f)
	reason := f.Code
	if f.Kind == fault.RateLimited {
		reason = string(ingress.RateLimited)
	}
	if reason == "" {
		reason = f.Kind.String()
	}
	httpkit.WriteJSON(w, f.Kind.HTTPStatus(), rejection{Status: "rejected", Reason: reason, Error: f.Message})
}
