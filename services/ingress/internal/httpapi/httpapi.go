// Package httpapi is the listener for partners.
package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Limits bound the route.
type Limits struct {
	Deadline    time.Duration // of one delivery, the waiting for its outcome included
	Concurrency int           // deliveries that are received concurrently, each with its body in memory
	MaxBody     int64         // bytes; a listener may have less
}

// Register adds POST /ingress/{listener}, and GET and OPTIONS for senders' handshakes.
func Register(mux *http.ServeMux, svc *ingress.Service, o kit.Observer, l Limits) {
	bounded := kit.Limits{Deadline: l.Deadline, Concurrency: l.Concurrency}
	operations{
		find:    kit.Bind(o, "ingress.find", bounded, svc.Find),
		receive: kit.Bind(o, "ingress.receive", bounded, svc.Receive),
		await:   kit.Bind(o, "ingress.await", kit.Limits{}, svc.Await),
		within:  l.Deadline,

		handshake: kit.Bind(o, "ingress.handshake", bounded, svc.Handshake),
	}.register(mux, l.MaxBody)
}

// operations of one route: a delivery is read only if its listener was found, and its body is not kept while its
// sender waits for the outcome.
type operations struct {
	find    func(context.Context, ingress.FindRequest) (ingress.Listener, error)
	receive func(context.Context, ingress.DeliverRequest) (ingress.Receipt, error)
	await   func(context.Context, ingress.Receipt) (ingress.DeliverResponse, error)
	within  time.Duration

	handshake handshakeOperation
}

// received is a delivery that is stored, or why it is not. Its body may be forgotten.
type received struct {
	receipt ingress.Receipt
	until   time.Time
}

func (o operations) register(mux *http.ServeMux, maxBody int64) {
	decode := func(r *http.Request) (received, error) { return o.take(r, maxBody) }
	mux.Handle("POST /ingress/{listener}", httpkit.HandleWith(o.answer, decode, encode, writeRejection))
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

// take receives a delivery. What it read is not referred to when it returns.
func (o operations) take(r *http.Request, maxBody int64) (received, error) {
	in, err := o.decode(r, maxBody)
	if err != nil {
		return received{}, err
	}
	until := time.Now().Add(o.within) // the time that its body took was the sender's
	receipt, err := o.receive(r.Context(), in)
	httpkit.ReleaseBody(r.Context(), in.Body)
	return received{receipt: receipt, until: until}, err
}

// answer waits for the outcome.
func (o operations) answer(ctx context.Context, in received) (ingress.DeliverResponse, error) {
	ctx, cancel := context.WithDeadline(ctx, in.until)
	defer cancel()
	return o.await(ctx, in.receipt)
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
	if own := in.Found.MaxBody(); own > 0 {
		maxBody = min(maxBody, own)
	}
	in.Body, err = httpkit.ReadBody(r, maxBody)
	if kind, failed := fault.KindOf(err); failed && kind == fault.TooLarge {
		in.TooLarge = true // rejected by the use case, which counts it
		return in, nil
	}
	return in, err
}

// accepted is the body of an answer to a delivery that is stored: it has an execution, or waits for one.
type accepted struct {
	ExecutionID string `json:"execution_id,omitempty"`
	DeliveryID  string `json:"delivery_id,omitempty"`
	Status      string `json:"status"` // "accepted"
}

func encode(_ context.Context, w http.ResponseWriter, out ingress.DeliverResponse) error {
	if out.Answer != nil {
		writeAnswer(w, *out.Answer)
		return nil
	}
	httpkit.WriteJSON(w, http.StatusAccepted, accepted{out.ExecutionID, out.DeliveryID, "accepted"})
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
