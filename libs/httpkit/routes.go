package httpkit

import (
	"net/http"

	"github.com/noetl/gateway/libs/fault"
)

// Routes serves a mux whose 404 and 405 answers are JSON errors like all others.
func Routes(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		verdict := refusal{header: http.Header{}}
		h.ServeHTTP(&verdict, r)
		if verdict.code != http.StatusMethodNotAllowed {
			WriteError(r.Context(), w, fault.New(fault.NotFound, "no_such_route", "there is nothing at this path"))
			return
		}
		allow := verdict.header.Get("Allow")
		w.Header().Set("Allow", allow)
		WriteJSON(
			w, http.StatusMethodNotAllowed,
			ErrorBody{Error: "this path takes " + allow, Code: "method_not_allowed"},
		)
	})
}

// refusal learns what the mux would have answered.
type refusal struct {
	header http.Header
	code   int
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) Write(p []byte) (int, error) { return len(p), nil }
func (r *refusal) WriteHeader(code int)        { r.code = code }
