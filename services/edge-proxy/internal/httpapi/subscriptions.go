package httpapi

import (
	"bytes"
	"io"
	"net/http"

	"github.com/noetl/gateway/libs/httpkit"
)

// maxSubscription bounds the body of a call about subscriptions, in bytes: a path and three words.
const maxSubscription = 16 << 10

// RegisterSubscriptions adds the routes of subscriptions (contract, section 8), which event-fanout serves. It checks
// the session itself; here each call counts for its session as a call of /graphql does, because opening one asks the
// auth service. NoETL's own /api/subscriptions, which registers listeners, is another thing, behind /noetl/.
func (a *API) RegisterSubscriptions(mux *http.ServeMux, fanout http.Handler) {
	forward := a.Protect(bounded(maxSubscription, fanout))
	for _, route := range []string{
		"POST /api/subscriptions", "GET /api/subscriptions", "POST /api/subscriptions/firestore",
		"DELETE /api/subscriptions/{id}",
	} {
		mux.Handle(route, forward)
	}
}

// bounded reads the body before the next handler is asked: one that is too large reaches no other service.
func bounded(limit int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := httpkit.ReadBody(r, limit)
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		whole := r.WithContext(r.Context()) // the caller's request stays as it is
		whole.Body, whole.ContentLength, whole.TransferEncoding = http.NoBody, int64(len(body)), nil
		if len(body) > 0 {
			whole.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, whole)
	})
}
