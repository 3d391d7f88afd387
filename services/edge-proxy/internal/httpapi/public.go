package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/rs/cors"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// CORSConfig says which web origins may call.
type CORSConfig struct {
	Origins     []string
	Credentials bool
}

// CORS answers preflights and marks every answer, errors of ours included: a 502 without the
// header would show in browsers as a CORS problem (wire contract, section 1).
func CORS(c CORSConfig, next http.Handler) http.Handler {
	handler := cors.New(cors.Options{
		AllowedOrigins: c.Origins, AllowCredentials: c.Credentials,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions},
		AllowedHeaders: []string{
			"Content-Type", "Authorization", "X-Session-Id", "X-Session-Token", "X-User-Id", "X-Request-Id", "Last-Event-Id", "Traceparent", "Tracestate",
		},
		ExposedHeaders: []string{httpkit.RequestIDHeader, "Retry-After", "Location", "Etag", "Content-Disposition"},
		MaxAge:         600,
	})
	return handler.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions { // not a preflight, and yet needs no session
			w.Header().Set("Allow", methods+", OPTIONS")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// Public is the top of the public listener. The proxy is chosen before the mux sees the path:
// the mux would clean it and redirect, and what was meant must be judged as it was sent.
func Public(mux *http.ServeMux, proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.EscapedPath(); strings.HasPrefix(path, "/noetl/") {
			r.Pattern = "/noetl/{path...}" // names the span and bounds its cardinality
			proxy.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Forward passes requests on to another service of the gateway as they are: it is trusted,
// and needs the session token to do its own check.
func Forward(base *url.URL, transport http.RoundTripper, service string, logger *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(base)
			pr.Out.Host = pr.In.Host
			pr.Out.Header["X-Forwarded-For"] = nil
			pr.SetXForwarded()
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Del(httpkit.RequestIDHeader) // ours is set already
			return nil
		},
		Transport: transport, FlushInterval: -1, BufferPool: &buffers{},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				err = fault.Wrap(err, fault.Canceled, "canceled", "the client went away")
			} else {
				err = fault.Wrap(err, fault.Unavailable, service+"_away", "the "+service+" service is not available; try again")
				logger.WarnContext(r.Context(), "forwarding failed", "to", service, "err", err)
			}
			httpkit.WriteError(r.Context(), w, err)
		},
	}
}
