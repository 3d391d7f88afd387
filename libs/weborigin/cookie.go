package weborigin

import (
	"net/http"

	"github.com/noetl/gateway/libs/sessions"
)

// byCookie reports whether a browser may have sent the session by itself, with a request that
// changes something or opens a WebSocket: no preflight asks before those, so that any page could
// act for a logged-in user (CSRF). A token in a header is put there by a script that had it.
func byCookie(r *http.Request) bool {
	if sessions.CookieOf(r) == "" {
		return false
	}
	return (r.Method != http.MethodGet && r.Method != http.MethodHead) || r.Header.Get("Upgrade") != ""
}

// sameSite reports whether a request that a cookie authenticates comes from a page of this
// gateway, or from no browser at all.
//
// Sec-Fetch-Site, where it is sent, decides against a request that Origin would let pass: it tells
// http from https, which the host in Origin does not. "none" is the person's own doing, such as a
// bookmark. Without Origin and Sec-Fetch-Site it is no browser of the last years; the cookie
// session_token is sent by programs too, and passes. The browser login's cookie is in browsers
// only, and does not.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return ownOrigin(r)
	case "":
		if r.Header.Get("Origin") != "" {
			return ownOrigin(r)
		}
		_, err := r.Cookie(sessions.HostCookie)
		return err != nil
	default: // cross-site, same-site, and what comes after us
		return false
	}
}

// AllowStream reports whether a cookie may open an event stream with this request. Nobody else's
// page could read it, but it would count against the limits of the session. An older browser
// sends neither header with a GET to the page's own origin, so their absence is no reason.
func (r *Rules) AllowStream(req *http.Request) bool {
	if sessions.CookieOf(req) == "" || (!r.everybody && req.Header.Get("Origin") != "" && r.listed(req)) {
		return true
	}
	switch req.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none", "":
		return ownOrigin(req)
	default:
		return false
	}
}
