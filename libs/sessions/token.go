package sessions

import (
	"net/http"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// The cookies that hold a session token. Only the browser login sets [HostCookie]: its prefix
// keeps pages of other hosts of the same domain from setting it (RFC 6265bis, section 4.1.3.2), so that it wins.
const (
	Cookie     = "session_token"
	HostCookie = "__Host-session"
)

// TokenOf returns the session token of a request, in the contract's order: Authorization:
// Bearer, X-Session-Token, then [HostCookie] and [Cookie]. Empty when there is none, and when two cookies of one name
// say different things: one of them was set by a page of another host, to have the user act as somebody else.
func TokenOf(r *http.Request) authwire.Token {
	token, _ := find(r)
	return authwire.NewToken(token)
}

// CookieOf returns the name of the cookie that [TokenOf] reads the token from, empty if it reads
// it from elsewhere: a browser sends a cookie whatever page made the request.
func CookieOf(r *http.Request) string {
	_, cookie := find(r)
	return cookie
}

// Ambiguous returns the name of the cookie that would hold the token of a request if it were not there twice with
// different values, empty if there is no such.
func Ambiguous(r *http.Request) string {
	if token, cookie := find(r); token == "" {
		return cookie
	}
	return ""
}

// CookieTokens returns the tokens of all session cookies of a request, each once.
func CookieTokens(r *http.Request) []authwire.Token {
	var all []authwire.Token
	for _, name := range []string{HostCookie, Cookie} {
		for _, c := range r.CookiesNamed(name) {
			token := authwire.NewToken(c.Value)
			if !token.IsZero() && !slices.Contains(all, token) && len(all) < maxCookies {
				all = append(all, token)
			}
		}
	}
	return all
}

// maxCookies bounds what one request can ask to be ended.
const maxCookies = 4

func find(r *http.Request) (token, cookie string) {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		if token = strings.TrimSpace(token); token != "" {
			return token, ""
		}
	}
	if token := r.Header.Get("X-Session-Token"); token != "" {
		return token, ""
	}
	for _, name := range []string{HostCookie, Cookie} {
		for _, c := range r.CookiesNamed(name) {
			switch {
			case c.Value == "" || c.Value == token:
			case token != "":
				return "", name
			default:
				token = c.Value
			}
		}
		if token != "" {
			return token, name
		}
	}
	return "", ""
}
