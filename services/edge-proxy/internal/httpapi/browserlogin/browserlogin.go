// Package browserlogin is the login of browsers by authorization code: the way to the issuer and back.
package browserlogin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

// loginCookie ties a browser login under way to the browser that began it. Lax, because the
// issuer sends the browser back from another site.
const loginCookie = "__Host-noetl_login"

const (
	// loginRoute sends a browser to the issuer.
	loginRoute = "/api/auth/browser/login"
	// callbackRoute is where issuers send browsers back to.
	callbackRoute = "/api/auth/browser/callback"
	// styleRoute is the stylesheet of the page that tells of a failure.
	styleRoute = "/api/auth/browser/page.css"
)

// Surface is the listener that the routes are on.
type Surface struct {
	// Operator says that it is the operators' own: browsers come back to it, and not to the public one.
	Operator bool
	// Origin is where browsers reach it; "": where they say that they do.
	Origin string
	// Home is the path of the page that people come from, if there is one.
	Home string
	// AllowReturn says which other origins a browser may be sent to after its login; nil: none.
	AllowReturn func(origin string) bool
}

// login is the two routes and their operations.
type login struct {
	api    *httpapi.API
	on     Surface
	begin  func(context.Context, authwire.BrowserBeginRequest) (authwire.BrowserBeginResponse, error)
	finish func(context.Context, authwire.BrowserFinishRequest) (authwire.BrowserFinishResponse, error)
}

// Register adds the routes.
func Register(mux *http.ServeMux, a *httpapi.API, on Surface) {
	l := login{
		api:    a,
		on:     on,
		begin:  kit.Bind(a.Observer, "edge.browser_begin", httpapi.AuthLimits(), a.Service.BrowserBegin),
		finish: kit.Bind(a.Observer, "edge.browser_finish", httpapi.LoginLimits(), a.Service.BrowserFinish),
	}
	mux.Handle("GET "+loginRoute, a.LimitAuthCalls(http.HandlerFunc(l.sendToIssuer)))
	mux.Handle("GET "+callbackRoute, a.LimitLogins(http.HandlerFunc(l.finishLogin)))
	mux.HandleFunc("GET "+styleRoute, serveStyle)
}

// sendToIssuer sends a browser to the issuer.
func (l login) sendToIssuer(w http.ResponseWriter, r *http.Request) {
	in := authwire.BrowserBeginRequest{
		CallbackURL: l.origin(r) + callbackRoute,
		Operator:    l.on.Operator,
	}
	in.ReturnOrigin, in.ReturnTo = l.target(r.URL.Query().Get("return_to"))
	if c, err := r.Cookie(loginCookie); err == nil && len(c.Value) <= maxBinding {
		in.Binding = c.Value
	}
	out, err := l.begin(r.Context(), in)
	if err != nil {
		l.writeFailure(w, r, err, in.ReturnOrigin+in.ReturnTo)
		return
	}
	http.SetCookie(w, httpapi.HostCookie(loginCookie, out.Binding, out.MaxAgeSeconds))
	redirect(w, http.StatusFound, out.AuthorizeURL)
}

// maxHost bounds another origin's host and port, in bytes.
const maxHost = 261

// maxBinding bounds the login cookie, in bytes; ours has 43.
const maxBinding = 128

// finishLogin logs a browser in that the issuer sent back. The code and the state stay out of
// the browser's history: the answer is a redirect, or a page that sends no Referer and runs no script.
func (l login) finishLogin(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	in := authwire.BrowserFinishRequest{
		State:     q.Get("state"),
		Code:      q.Get("code"),
		Issuer:    q.Get("iss"),
		Error:     q.Get("error"),
		UserAgent: r.UserAgent(),
	}
	if c, err := r.Cookie(loginCookie); err == nil {
		in.Binding = c.Value
	}
	if ip := httpkit.ClientOf(r.Context()); ip.IsValid() {
		in.ClientIP = ip.String()
	}
	out, err := l.finish(r.Context(), in)
	if err != nil {
		l.writeFailure(w, r, err, l.on.Home)
		return
	}
	l.api.EndEarlierSessions(r, out.SessionToken)
	http.SetCookie(w, httpapi.HostCookie(loginCookie, "", -1))
	http.SetCookie(
		w, httpapi.HostCookie(sessions.HostCookie, out.SessionToken, int(time.Until(out.ExpiresAt).Seconds())),
	)
	origin, path := l.target(out.ReturnTo) // again: what is allowed may have changed
	if !strings.HasPrefix(path, "/") {
		path = "/"
	}
	redirect(w, http.StatusSeeOther, origin+path)
}

// target splits where a browser wants to go into another origin that is allowed, or "", and the rest.
func (l login) target(returnTo string) (origin, path string) {
	u, err := url.Parse(returnTo)
	if l.on.AllowReturn == nil || err != nil || u.Host == "" || len(u.Host) > maxHost || u.User != nil {
		return "", returnTo
	}
	origin = u.Scheme + "://" + u.Host
	path, under := strings.CutPrefix(returnTo, origin)
	if !under || !l.on.AllowReturn(origin) {
		return "", returnTo
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return origin, path
}

func redirect(w http.ResponseWriter, status int, target string) {
	w.Header().Set("Location", target) // not http.Redirect, which cleans the path and writes it into a page
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
}

// origin is this listener as the browser sees it, unless a proxy in front ends TLS: then a setting must say it.
// GATEWAY_PUBLIC_URL is known to the auth service, which takes that instead.
func (l login) origin(r *http.Request) string {
	if l.on.Origin != "" {
		return l.on.Origin
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
