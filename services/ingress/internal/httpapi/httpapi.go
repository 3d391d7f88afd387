// Package httpapi is the listener for partners.
package httpapi

import (
	"context"
	"net/http"
	"strings"

	httptransport "github.com/go-kit/kit/transport/http"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/ingress/internal/endpoints"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Register adds POST /ingress/{listener}. maxBody is in bytes.
func Register(mux *http.ServeMux, set endpoints.Set, maxBody int64) {
	mux.Handle("POST /ingress/{listener}", httptransport.NewServer(set.Deliver.Endpoint(),
		func(_ context.Context, r *http.Request) (any, error) { return decode(r, set, maxBody) },
		encode,
		httptransport.ServerErrorEncoder(writeRejection)))
	mux.HandleFunc("/ingress/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // a longer or an empty path is no listener's
			writeRejection(
				r.Context(),
				fault.New(fault.NotFound, string(ingress.UnknownListener), "there is no such listener"), w,
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
}

// decode finds the listener first: only a delivery to one that exists is read.
func decode(r *http.Request, set endpoints.Set, maxBody int64) (ingress.DeliverRequest, error) {
	in := ingress.DeliverRequest{
		Listener: r.PathValue("listener"), Client: httpkit.AddressKey(httpkit.ClientOf(r.Context())),
	}
	find := ingress.FindRequest{Listener: in.Listener, Client: in.Client}
	var err error
	if in.Found, err = set.Find.Call(r.Context(), find); err != nil {
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

func encode(_ context.Context, w http.ResponseWriter, response any) error {
	out, _ := response.(ingress.DeliverResponse)
	httpkit.WriteJSON(w, http.StatusAccepted, map[string]string{"status": "accepted", "execution_id": out.ExecutionID})
	return nil
}

// rejection is the body that senders of the contract read; error says the same for people.
type rejection struct {
	Status string `json:"status"` // "rejected"
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

func writeRejection(_ context.Context, err error, w http.ResponseWriter) {
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
