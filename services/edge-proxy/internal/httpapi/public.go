package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
)

// CORSConfig says which web origins may call.
type CORSConfig struct {
	Origins     []string
	Credentials bool
}

// CORS answers preflights and marks every answer, errors of ours included: a 502 without the
// header would show in browsers as a CORS problem (wire contract, section 1).
func CORS(c CORSConfig, next http.Handler) http.Handler {
	options := cors.Options{
		AllowedOrigins: c.Origins, AllowCredentials: c.Credentials,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions},
		AllowedHeaders: []string{
			"Content-Type", "Authorization", "X-Session-Id", "X-Session-Token", "X-User-Id", "X-Request-Id", "Last-Event-Id", "Traceparent", "Tracestate",
		},
		ExposedHeaders: []string{httpkit.RequestIDHeader, "Retry-After", "Location", "Etag", "Content-Disposition"},
		MaxAge:         600,
	}
	if len(c.Origins) == 0 { // the library takes an empty list for "all"
		options.AllowOriginFunc = func(string) bool { return false }
	}
	handler, everybody := cors.New(options), slices.Contains(c.Origins, "*") // which lets everybody read, not act as a user
	marked := handler.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions { // not a preflight, and yet needs no session
			w.Header().Set("Allow", methods+", OPTIONS")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if byCookie(r) && !sameSite(r) && (everybody || !handler.OriginAllowed(r)) {
			httpkit.WriteError(r.Context(), w, fault.New(fault.Denied, "origin_denied", "this web origin may not use the session cookie; CORS_ALLOWED_ORIGINS lists those that may"))
			return
		}
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked := r.Header.Get(askedHeaders); asked != "" {
			r.Header.Set(askedHeaders, sorted(asked))
		}
		marked.ServeHTTP(w, r)
	})
}

// Origins decides about the web origins that WebSockets may come from: the listed ones, and
// pages of this gateway.
func Origins(c CORSConfig) func(*http.Request) bool {
	listed := func(*http.Request) bool { return false }
	if len(c.Origins) > 0 {
		listed = cors.New(cors.Options{AllowedOrigins: c.Origins}).OriginAllowed
	}
	return func(r *http.Request) bool { return ownOrigin(r) || listed(r) }
}

const askedHeaders = "Access-Control-Request-Headers"

// sorted writes a list of header names as browsers do (Fetch, section 4.8): in lower case and
// in order. The CORS library takes no other, and not every client is a browser.
func sorted(list string) string {
	names := strings.Split(strings.ToLower(list), ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// ownOrigin reports whether a request comes from a page of this gateway, or from no browser.
func ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// Public is the top of the public listener. The proxy is chosen before the mux sees the path:
// the mux would clean it and redirect, and what was meant must be judged as it was sent.
func Public(routes, proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.EscapedPath(); strings.HasPrefix(path, "/noetl/") {
			r.Pattern = "/noetl/{path...}" // names the span and bounds its cardinality
			proxy.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

// hideToken takes a session token out of the query, where EventSource has to put it, since the
// URL of a call is written into spans and logs. For the two routes that read it there it becomes a
// header; on any other it never counted, and must not begin to.
func hideToken(pr *httputil.ProxyRequest) {
	token := pr.In.URL.Query().Get("session_token")
	if token == "" {
		return
	}
	stream := pr.In.Method == http.MethodGet && (pr.In.URL.Path == "/events" || pr.In.URL.Path == "/ws")
	if stream && sessions.TokenOf(pr.In) == "" {
		pr.Out.Header.Set("Authorization", "Bearer "+token)
	}
	pr.Out.URL.RawQuery = withoutToken(pr.Out.URL.RawQuery, token)
}

// EndWith ends the requests of a handler when a context ends: streams would hold the drain of
// the listener, and their clients resume elsewhere.
func EndWith(closing context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(closing, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx)) //nolint:contextcheck // it is the request's, with one more reason to end
	})
}

// Forward passes requests on to another service of the gateway as they are: it is trusted,
// and needs the session token to do its own check.
func Forward(base *url.URL, transport http.RoundTripper, service string, logger *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(base)
			pr.Out.Host = pr.In.Host
			hideToken(pr)
			forwardedFor(pr)
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Del(httpkit.RequestIDHeader)           // ours is set already
			if resp.StatusCode == http.StatusUpgradeRequired { // needs it (RFC 9110, section 15.5.22), and it is hop-by-hop
				resp.Header.Set("Upgrade", "websocket")
				resp.Header.Set("Connection", "Upgrade")
			}
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
