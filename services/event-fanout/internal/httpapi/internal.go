package httpapi

import (
	"context"
	"crypto/subtle"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

// maxReport bounds the body of a progress report, in bytes.
const maxReport = 8 << 20

// Internal returns the routes for workers. With a token set, they must send it; without one
// the unguessable request id is the capability, and the listener is not public.
func Internal(set Operations, large LargeResults, token string, undelivered prometheus.Counter) http.Handler {
	mux, callbacks := http.NewServeMux(), newCallbacks(large)
	handle := func(path string, h http.Handler) {
		mux.Handle("POST "+path, h)
		mux.Handle("POST "+path+"/{$}", h) // templates write either
	}
	handle(
		"/api/internal/callback",
		callbacks.holding(
			httpkit.Handle(
				set.Callback,
				callbacks.first,
				func(_ context.Context, w http.ResponseWriter, delivered bool) error {
					message := "callback delivered"
					if !delivered {
						undelivered.Inc()
						message = "nobody waits for this request_id"
					}
					httpkit.WriteJSON(w, http.StatusOK, map[string]any{"delivered": delivered, "message": message})
					return nil
				},
			),
		),
	)
	handle(
		"/api/internal/callback/async",
		callbacks.holding(
			httpkit.Handle(
				set.Complete,
				callbacks.async,
				func(_ context.Context, w http.ResponseWriter, d fanout.Delivery) error {
					if !d.Connected {
						httpkit.WriteJSON(
							w, http.StatusAccepted, map[string]any{"status": "queued", "clientDisconnected": true},
						)
						return nil
					}
					httpkit.WriteJSON(w, http.StatusOK, map[string]any{"status": "delivered"})
					return nil
				},
			),
		),
	)
	handle(
		"/api/internal/progress",
		httpkit.Handle(
			set.Progress,
			report(body(wire.DecodeProgress)),
			func(_ context.Context, w http.ResponseWriter, _ struct{}) error {
				httpkit.WriteJSON(w, http.StatusOK, map[string]any{"status": "sent"})
				return nil
			},
		),
	)
	return authorized(token, httpkit.Routes(mux))
}

// report adds what a header says about a report (draft-ietf-httpapi-idempotency-key-header).
func report(decode httpkit.Decoder[fanout.Progress]) httpkit.Decoder[fanout.Progress] {
	return func(r *http.Request) (fanout.Progress, error) {
		in, err := decode(r)
		in.Key = r.Header.Get("Idempotency-Key")
		return in, err
	}
}

func body[T any](decode func([]byte) (T, error)) httpkit.Decoder[T] {
	return func(r *http.Request) (T, error) {
		raw, err := httpkit.ReadBody(r, maxReport)
		if err != nil {
			var none T
			return none, err
		}
		return decode(raw)
	}
}

func authorized(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(sessions.TokenOf(r).Reveal()), []byte(token)) != 1 {
			httpkit.WriteError(
				r.Context(),
				w,
				fault.New(
					fault.Unauthenticated, "bad_internal_token",
					"the internal token is missing or wrong: send it as Authorization: Bearer",
				),
			)
			return
		}
		next.ServeHTTP(w, r)
	})
}
