package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
)

// loginCookie ties a browser login under way to the browser that began it. Lax, because the
// issuer sends the browser back from another site.
const loginCookie = "__Host-noetl_login"

// callbackRoute is where issuers send browsers back to.
const callbackRoute = "/api/auth/browser/callback"

// Browser adds the routes of the login by authorization code, and those that end sessions of
// others.
func (d *Doors) Browser(mux *http.ServeMux) {
	mux.Handle("GET /api/auth/browser/login", d.authCall(http.HandlerFunc(d.browserLogin)))
	mux.Handle("GET "+callbackRoute, d.perLogin(http.HandlerFunc(d.browserCallback)))
	mux.Handle("POST /api/auth/revoke", d.authCall(httpkit.Mount(d.Set.Revoke, decodeRevoke, httpkit.JSON)))
	mux.Handle("POST /api/auth/backchannel-logout", d.authCall(http.HandlerFunc(d.backchannelLogout)))
}

// browserLogin sends a browser to the issuer.
func (d *Doors) browserLogin(w http.ResponseWriter, r *http.Request) {
	in := authwire.BrowserBeginRequest{
		ReturnTo:    r.URL.Query().Get("return_to"),
		CallbackURL: originOf(r) + callbackRoute,
	}
	if c, err := r.Cookie(loginCookie); err == nil && len(c.Value) <= maxBinding {
		in.Binding = c.Value
	}
	out, err := d.Set.Begin.Call(r.Context(), in)
	if err != nil {
		writePage(w, r, err)
		return
	}
	http.SetCookie(w, cookie(loginCookie, out.Binding, out.MaxAgeSeconds))
	redirect(w, http.StatusFound, out.AuthorizeURL)
}

// maxBinding bounds the login cookie, in bytes; ours has 43.
const maxBinding = 128

// browserCallback logs a browser in that the issuer sent back. The code and the state stay out of
// the browser's history: the answer is a redirect, or a page without links and scripts.
func (d *Doors) browserCallback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	in := authwire.BrowserFinishRequest{
		State: q.Get(
			"state",
		),
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
	out, err := d.Set.Finish.Call(r.Context(), in)
	if err != nil {
		writePage(w, r, err)
		return
	}
	d.endEarlier(r, out.SessionToken)
	http.SetCookie(w, cookie(loginCookie, "", -1))
	http.SetCookie(w, cookie(sessions.HostCookie, out.SessionToken, int(time.Until(out.ExpiresAt).Seconds())))
	redirect(w, http.StatusSeeOther, out.ReturnTo)
}

// endEarlier ends the sessions that a browser had until it logged in: whoever knew their tokens, such as who planted
// the cookie, must not stay in beside it. The login counts also if that fails.
func (d *Doors) endEarlier(r *http.Request, now string) {
	for _, token := range sessions.CookieTokens(r) {
		if token.Reveal() != now {
			// It logs what fails.
			_, _ = d.Set.Logout.Call(r.Context(), authwire.LogoutRequest{SessionToken: token.Reveal(), Replaced: true})
		}
	}
}

// logout ends the caller's session and takes the cookies away, also those of a session that had
// ended before.
func (d *Doors) logout(w http.ResponseWriter, r *http.Request) {
	token := sessions.TokenOf(r)
	_, err := d.Set.Logout.Call(r.Context(), authwire.LogoutRequest{SessionToken: token.Reveal()})
	for _, other := range sessions.CookieTokens(r) { // a cookie that goes takes its session with it
		if other == token {
			continue
		}
		_, also := d.Set.Logout.Call(r.Context(), authwire.LogoutRequest{SessionToken: other.Reveal()})
		if kind, _ := fault.KindOf(
			err,
		); (fault.IsOutage(also) && err == nil) ||
			(token.IsZero() && kind == fault.Unauthenticated) {
			err = also
		}
	}
	if kind, failed := fault.KindOf(err); !failed || kind == fault.Unauthenticated {
		for _, name := range []string{sessions.Cookie, sessions.HostCookie} {
			if _, none := r.Cookie(name); none == nil {
				gone := cookie(name, "", -1) //nolint:gosec // it holds nothing; over http a browser takes no Secure one
				gone.Secure = name == sessions.HostCookie || r.TLS != nil
				http.SetCookie(w, gone)
			}
		}
	}
	if err != nil {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// decodeRevoke reads whose sessions to end; the asker is who calls.
func decodeRevoke(r *http.Request) (authwire.RevokeRequest, error) {
	members, err := httpkit.DecodeJSON[map[string]json.RawMessage](maxAuthBody)(r)
	if err != nil {
		return authwire.RevokeRequest{}, err
	}
	out := authwire.RevokeRequest{SessionToken: sessions.TokenOf(r).Reveal()}
	into := map[string]any{
		"session_token": &out.TargetToken,
		"session":       &out.TargetSession,
		"user_id":       &out.UserID,
		"email":         &out.Email,
	}
	for name, value := range members {
		target, known := into[name]
		if !known {
			return out, errRevoke("there is no member " + strconv.Quote(shortened(name)))
		}
		if err := json.Unmarshal(value, target); err != nil || string(value) == "null" {
			return out, errRevoke(name + " has the wrong type")
		}
		if text := strings.Trim(string(value), `"`); text == "" || strings.TrimSpace(text) != text {
			return out, errRevoke(name + " is empty or has blanks around it")
		}
	}
	return out, nil
}

// errRevoke refuses what could end other sessions than were meant: an empty object ends one's own.
func errRevoke(what string) error {
	return fault.New(
		fault.Invalid, "bad_selector",
		what+": say session_token, session, user_id or email, or send {} to end all sessions of your own",
	)
}

func shortened(s string) string { return s[:min(len(s), 40)] }

// backchannelLogout takes a logout token of an issuer (Back-Channel Logout 1.0, sections 2.5 to
// 2.8). It is called by the issuer's server: no cookie and no page is involved.
func (d *Doors) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	token, err := formToken(r)
	if err == nil {
		_, err = d.Set.Backchannel.Call(r.Context(), authwire.BackchannelLogoutRequest{LogoutToken: token})
	}
	if err == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	f := fault.Of(err)
	switch f.Kind {
	case fault.Invalid, fault.Unauthenticated, fault.TooLarge, fault.Unsupported:
		httpkit.WriteJSON(
			w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": f.Message},
		)
	default: // an outage is not the issuer's mistake: it may try again
		httpkit.WriteError(r.Context(), w, err)
	}
}

func formToken(r *http.Request) (string, error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return "", fault.New(fault.Unsupported, "not_a_form", "Content-Type must be application/x-www-form-urlencoded")
	}
	body, err := httpkit.ReadBody(r, maxAuthBody)
	if err != nil {
		return "", err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "bad_form", "the form cannot be read")
	}
	if len(form["logout_token"]) != 1 {
		return "", fault.New(fault.Invalid, "missing_logout_token", "logout_token must be given once")
	}
	return form.Get("logout_token"), nil
}

// cookie makes a cookie of this host that scripts cannot read. The prefix __Host- needs exactly
// these attributes (RFC 6265bis, section 4.1.3.2).
func cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		HttpOnly: true,
		Secure:   true,
		SameSite: http.SameSiteLaxMode,
	}
}

func redirect(w http.ResponseWriter, status int, target string) {
	w.Header().Set("Location", target) // not http.Redirect, which cleans the path and writes it into a page
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
}

// originOf is this gateway as the browser sees it, unless a proxy in front ends TLS: then
// GATEWAY_PUBLIC_URL must say it, and the auth service takes that instead.
func originOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

//nolint:gochecknoglobals // a constant
var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sign-in failed</title>
<h1>Sign-in failed</h1><p>{{.}}</p>
</html>
`))

// writePage writes an error for a person, and as JSON for everything that does not ask for a page.
func writePage(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.Of(err)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	text := f.Message
	if f.Kind == fault.Internal || errors.Is(err, context.Canceled) || text == "" {
		text = "Something went wrong here. Please try again."
	}
	httpkit.RetryAfter(w, f)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(f.Kind.HTTPStatus())
	_ = page.Execute(w, text) // the peer may be gone
}
