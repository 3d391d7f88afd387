package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
)

// EndEarlierSessions ends the sessions that a browser had until it logged in: whoever knew their tokens, such as who
// planted the cookie, must not stay in beside it. The login counts also if that fails.
func (a *API) EndEarlierSessions(r *http.Request, now string) {
	for _, token := range sessions.CookieTokens(r) {
		if token.Reveal() != now {
			// It logs what fails.
			_, _ = a.logout(r.Context(), authwire.LogoutRequest{SessionToken: token.Reveal(), Replaced: true})
		}
	}
}

// serveLogout is [API.Logout] as a route.
func (a *API) serveLogout(w http.ResponseWriter, r *http.Request) {
	if err := a.Logout(w, r); err != nil {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Logout ends the caller's session and removes the cookies, also those of a session that had ended before. It writes
// headers only.
func (a *API) Logout(w http.ResponseWriter, r *http.Request) error {
	token := sessions.TokenOf(r)
	_, err := a.logout(r.Context(), authwire.LogoutRequest{SessionToken: token.Reveal()})
	for _, other := range sessions.CookieTokens(r) { // a cookie that goes takes its session with it
		if other == token {
			continue
		}
		_, also := a.logout(r.Context(), authwire.LogoutRequest{SessionToken: other.Reveal()})
		kind, _ := fault.KindOf(err)
		if (fault.IsOutage(also) && err == nil) || (token.IsZero() && kind == fault.Unauthenticated) {
			err = also
		}
	}
	if kind, failed := fault.KindOf(err); !failed || kind == fault.Unauthenticated {
		for _, name := range []string{sessions.Cookie, sessions.HostCookie} {
			if _, none := r.Cookie(name); none == nil {
				gone := HostCookie(name, "", -1) //nolint:gosec // it holds nothing; see Secure
				// Over http a browser takes no cookie that is Secure.
				gone.Secure = name == sessions.HostCookie || r.TLS != nil
				http.SetCookie(w, gone)
			}
		}
	}
	return err
}

// decodeRevoke reads whose sessions to end; they must be the caller's, unless an administrator calls.
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

// errRevoke rejects what could end other sessions than were meant: an empty object ends one's own.
func errRevoke(what string) error {
	return fault.New(
		fault.Invalid, "bad_selector",
		what+": say session_token, session, user_id or email, or send {} to end all sessions of your own",
	)
}

func shortened(s string) string { return s[:min(len(s), 40)] }

// backchannelLogout takes a logout token of an issuer (Back-Channel Logout 1.0, sections 2.5 to
// 2.8). It is called by the issuer's server: no cookie and no page is involved.
func backchannelLogout(
	logout func(context.Context, authwire.BackchannelLogoutRequest) (authwire.RevokeResponse, error),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		token, err := formToken(r)
		if err == nil {
			_, err = logout(r.Context(), authwire.BackchannelLogoutRequest{LogoutToken: token})
		}
		if err == nil {
			w.WriteHeader(http.StatusOK)
			return
		}
		f := fault.Of(err)
		switch f.Kind {
		case fault.Invalid, fault.Unauthenticated, fault.TooLarge, fault.Unsupported:
			httpkit.WriteJSON(w, http.StatusBadRequest,
				map[string]string{"error": "invalid_request", "error_description": f.Message})
		default: // an outage is not the issuer's mistake: it may try again
			httpkit.WriteError(r.Context(), w, err)
		}
	})
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

// HostCookie makes a cookie of this host that scripts cannot read. The prefix __Host- needs exactly
// these attributes (RFC 6265bis, section 4.1.3.2).
func HostCookie(name, value string, maxAge int) *http.Cookie {
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
