package weborigin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
)

// Rules are the settings made ready. They do not change.
type Rules struct {
	handler   *cors.Cors
	listed    func(*http.Request) bool
	everybody bool
	allow     string // Allow of an OPTIONS request that is no preflight
}

// New makes the rules for routes that take those methods; HEAD goes with GET.
func New(c Config, methods ...string) *Rules {
	origins := slices.DeleteFunc(slices.Clone(c.all()), func(o string) bool { return o == Loopback })
	options := cors.Options{
		AllowedOrigins:   origins,
		AllowCredentials: c.Credentials,
		AllowedMethods:   append(slices.Clone(methods), http.MethodHead),
		AllowedHeaders: []string{
			"Content-Type", "Authorization", "X-Session-Id", "X-Session-Token", "X-User-Id", "X-Request-Id",
			"Last-Event-Id", "Traceparent", "Tracestate",
			"Mcp-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name",
		},
		ExposedHeaders: []string{
			httpkit.RequestIDHeader, "Retry-After", "Location", "Etag", "Content-Disposition", "Www-Authenticate",
			"Mcp-Session-Id",
		},
		MaxAge: 600,
	}
	if len(origins) == 0 { // the library takes an empty list for "all"
		options.AllowOriginFunc = func(string) bool { return false }
	}
	if slices.Contains(c.Origins, Loopback) {
		others := cors.New(options)
		options.AllowOriginVaryRequestFunc = func(req *http.Request, origin string) (bool, []string) {
			return isLoopback(origin) || others.OriginAllowed(req), nil
		}
	}
	r := &Rules{
		handler:   cors.New(options),
		everybody: slices.Contains(origins, everybody),
		allow:     strings.Join(append(slices.Clone(methods), http.MethodOptions), ", "),
	}
	r.listed = r.handler.OriginAllowed
	return r
}

// Wrap answers preflights and marks every answer, errors of ours included: a 502 without the
// header would show in browsers as a CORS problem (wire contract, section 1).
func (r *Rules) Wrap(next http.Handler) http.Handler {
	marked := r.handler.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodOptions { // not a preflight, and yet needs no session
			w.Header().Set("Allow", r.allow)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		// Logging in and out stay possible: they are what helps.
		if name := sessions.Ambiguous(req); name != "" && !strings.HasPrefix(req.URL.Path, "/api/auth/") {
			httpkit.WriteError(req.Context(), w, fault.New(fault.Unauthenticated, "ambiguous_session",
				"there are two different cookies "+name+": delete both and log in again"))
			return
		}
		if byCookie(req) && !sameSite(req) && (r.everybody || !r.listed(req)) {
			httpkit.WriteError(req.Context(), w, Denied())
			return
		}
		next.ServeHTTP(w, req)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if asked := req.Header.Get(askedHeaders); asked != "" {
			req.Header.Set(askedHeaders, sorted(asked))
		}
		marked.ServeHTTP(w, req)
	})
}

// Denied is the fault of a page that may not use the cookie.
func Denied() error {
	return fault.New(
		fault.Denied, "origin_denied",
		"this web origin may not use the session cookie; CORS_ALLOWED_ORIGINS lists those that may",
	)
}

// AllowWebSocket reports whether the request may open a WebSocket: a browser asks nobody before
// (RFC 6455, section 10.2). No Origin means no browser; a page of the gateway's own host may.
func (r *Rules) AllowWebSocket(req *http.Request) bool {
	if len(req.Header.Values("Origin")) > 1 {
		return false
	}
	return ownOrigin(req) || r.listed(req)
}

// AllowListed reports whether no page makes the request, or one whose origin is listed or the gateway's own as the
// settings say. That the origin equals the host proves nothing: a page of any name can have that name lead here (DNS
// rebinding).
func (r *Rules) AllowListed(req *http.Request) bool {
	switch origins := req.Header.Values("Origin"); len(origins) {
	case 0:
		return true
	case 1:
		return r.listed(req)
	default:
		return false
	}
}

// AllowReturn reports whether a browser may be sent to a page of that origin after a login: one whose pages may use the
// session that it brings.
func (r *Rules) AllowReturn(origin string) bool {
	return !r.everybody && IsOrigin(origin) && r.listed(&http.Request{Header: http.Header{"Origin": {origin}}})
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
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") &&
		strings.EqualFold(u.Host, r.Host)
}
