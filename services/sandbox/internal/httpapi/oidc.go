package httpapi

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
)

// maxForm bounds the forms of the issuer, in bytes.
const maxForm = 64 << 10

type oidc struct {
	deps Deps
	iss  *issuer.Issuer
}

func oidcRoutes(mux *http.ServeMux, d Deps) {
	o := oidc{deps: d, iss: d.Issuer}
	open := func(pattern string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			allowLoopback(w, r)
			h(w, r)
		})
		_, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc("OPTIONS "+path, preflight)
	}
	for _, path := range metadataPaths() {
		open("GET "+path, o.discovery)
	}
	open("POST /oidc/register", o.register)
	open(
		"GET /oidc/jwks.json",
		func(w http.ResponseWriter, _ *http.Request) { httpkit.WriteJSON(w, http.StatusOK, o.iss.Keys()) },
	)
	open("POST /oidc/token", o.token)
	open("GET /oidc/userinfo", o.userInfo)
	mux.HandleFunc("GET /oidc/authorize", o.loginPage)
	mux.HandleFunc("POST /oidc/authorize", o.login)
}

func (o oidc) token(w http.ResponseWriter, r *http.Request) {
	form, err := parseForm(w, r)
	if err != nil {
		writeOIDC(w, http.StatusBadRequest, err)
		return
	}
	var tokens issuer.Tokens
	switch form.Get("grant_type") {
	case issuer.GrantCode:
		tokens, err = o.iss.Redeem(issuer.RedeemRequest{
			Code: form.Get("code"), ClientID: form.Get("client_id"), RedirectURI: form.Get("redirect_uri"),
			Verifier: form.Get("code_verifier"), ExpiresIn: form.Get("expires_in"),
			Resources: form["resource"],
		})
	case issuer.GrantRefresh:
		tokens, err = o.iss.Refresh(issuer.RefreshRequest{
			Token: form.Get("refresh_token"), ClientID: form.Get("client_id"), Resources: form["resource"],
			Scope: form.Get("scope"), ExpiresIn: form.Get("expires_in"),
		})
	case issuer.GrantPassword:
		email := form.Get("username")
		if email == "" {
			email = form.Get("email")
		}
		tokens, err = o.iss.Password(issuer.PasswordRequest{
			Email:     email,
			Password:  form.Get("password"),
			ClientID:  form.Get("client_id"),
			Nonce:     form.Get("nonce"),
			ExpiresIn: form.Get("expires_in"),
			ClockSkew: form.Get("clock_skew"),
			Scope:     form.Get("scope"),
			Resources: form["resource"],
		})
	case "":
		err = &issuer.Error{Code: issuer.InvalidRequest, Description: "grant_type is required"}
	default:
		err = &issuer.Error{
			Code:        issuer.UnsupportedGrant,
			Description: "grant_type must be authorization_code, refresh_token or password",
		}
	}
	if err != nil {
		o.deps.Telemetry.Logger.InfoContext(r.Context(), "token refused", "reason", codeOf(err))
		writeOIDC(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1
	httpkit.WriteJSON(w, http.StatusOK, tokens)
}

func (o oidc) userInfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		token = ""
	}
	info, err := o.iss.UserInfo(token)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="noetl-sandbox", error="invalid_token"`)
		writeOIDC(w, http.StatusUnauthorized, err)
		return
	}
	httpkit.WriteJSON(w, http.StatusOK, info)
}

// parseForm reads a form body; RFC 6749 wants exactly this media type, each parameter once but resource (RFC 8707).
func parseForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	bad := func(text string) error { return &issuer.Error{Code: issuer.InvalidRequest, Description: text} }
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(
		strings.TrimSpace(media),
		"application/x-www-form-urlencoded",
	) {
		return nil, bad("Content-Type must be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, bad("the form cannot be read, or is larger than 64 KiB")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" {
			return nil, bad("parameter " + short(name) + " is given more than once")
		}
	}
	return r.PostForm, nil
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*issuer.Error](err); ok {
		return e.Code
	}
	return "server_error"
}

// writeOIDC writes an error of RFC 6749. invalid_client has its own status.
func writeOIDC(w http.ResponseWriter, status int, err error) {
	e, ok := errors.AsType[*issuer.Error](err)
	if !ok {
		status, e = http.StatusInternalServerError, &issuer.Error{Code: "server_error", Description: "internal error"}
	}
	if e.Code == issuer.InvalidClient {
		status = http.StatusUnauthorized
	}
	httpkit.WriteJSON(w, status, e)
}

// allowLoopback lets pages on this machine read the answer, whatever their port.
func allowLoopback(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	u, err := url.Parse(origin)
	if err != nil || origin == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	return true
}

func preflight(w http.ResponseWriter, r *http.Request) {
	if allowLoopback(w, r) {
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers",
			"authorization, content-type, mcp-protocol-version, traceparent, tracestate")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
