package httpapi

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
)

//go:embed pages
var pages embed.FS

// basePolicy lets a page show itself and its stylesheet, and nothing else.
const basePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// loginView is what the login page shows.
type loginView struct {
	Hidden   []field
	Accounts []issuer.Account
	Client   issuer.Client
	Target   string
	// Resources and Scopes are what the application asks for.
	Resources []string
	Scopes    []string
	Email     string
	Error     string
}

type field struct{ Name, Value string }

func pageRoutes(mux *http.ServeMux, iss *issuer.Issuer) {
	httpkit.Icon(mux)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		writePage(
			w, r, http.StatusOK, basePolicy+"; form-action 'none'", "home.html",
			map[string]any{"Issuer": iss.URL(), "Accounts": iss.Accounts()},
		)
	})
	mux.HandleFunc("GET /sandbox.css", func(w http.ResponseWriter, _ *http.Request) {
		css, err := pages.ReadFile("pages/sandbox.css")
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(css)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		httpkit.WriteError(
			r.Context(), w, fault.New(fault.NotFound, "no_such_page", "the sandbox has no such page; see /"),
		)
	})
}

func writePage(w http.ResponseWriter, r *http.Request, status int, policy, name string, view any) {
	t, err := template.ParseFS(pages, "pages/layout.html", "pages/"+name)
	var page bytes.Buffer
	if err == nil {
		err = t.ExecuteTemplate(&page, "layout.html", view)
	}
	if err != nil {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer") // the address holds state and challenge
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}

func authorizeRequest(v url.Values) issuer.AuthorizeRequest {
	return issuer.AuthorizeRequest{
		ResponseType:    v.Get("response_type"),
		ClientID:        v.Get("client_id"),
		RedirectURI:     v.Get("redirect_uri"),
		State:           v.Get("state"),
		Nonce:           v.Get("nonce"),
		Challenge:       v.Get("code_challenge"),
		ChallengeMethod: v.Get("code_challenge_method"),
		Scope:           v.Get("scope"),
		Resources:       v["resource"],
	}
}

// checked checks a request and answers it if it is wrong: on a page while the redirect URI
// cannot be trusted, else there.
func (o oidc) checked(w http.ResponseWriter, r *http.Request, in issuer.AuthorizeRequest) (issuer.Client, bool) {
	client, err := o.iss.Client(r.Context(), in)
	if err != nil {
		writePage(w, r, http.StatusBadRequest, basePolicy+"; form-action 'none'", "refused.html", err)
		return client, false
	}
	if err := o.iss.Check(in); err != nil {
		why := url.Values{
			"error": {codeOf(err)}, "error_description": {strings.TrimPrefix(err.Error(), codeOf(err)+": ")},
		}
		//nolint:gosec // Client has checked the redirect URI
		http.Redirect(w, r, o.answer(in, why), http.StatusFound)
		return client, false
	}
	return client, true
}

// answer returns the redirect URI with what the client gets. iss is of RFC 9207.
func (o oidc) answer(in issuer.AuthorizeRequest, params url.Values) string {
	if in.State != "" {
		params.Set("state", in.State)
	}
	params.Set("iss", o.iss.URL())
	u, err := url.Parse(in.RedirectURI)
	if err != nil {
		return o.iss.URL() // it was parsed when it was allowed
	}
	q := u.Query()
	for name := range params {
		q.Set(name, params.Get(name))
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func (o oidc) loginPage(w http.ResponseWriter, r *http.Request) {
	in := authorizeRequest(r.URL.Query())
	if client, ok := o.checked(w, r, in); ok {
		o.showLogin(w, r, http.StatusOK, client, in, r.URL.Query().Get("login_hint"), "")
	}
}

func (o oidc) showLogin(
	w http.ResponseWriter, r *http.Request, status int, client issuer.Client, in issuer.AuthorizeRequest,
	email, problem string,
) {
	view := loginView{
		Accounts: o.iss.Accounts(), Client: client, Target: origin(in.RedirectURI), Email: email, Error: problem,
		Resources: in.Resources, Scopes: in.Asked(),
		Hidden: []field{
			{"response_type", in.ResponseType},
			{"client_id", in.ClientID},
			{"redirect_uri", in.RedirectURI},
			{"state", in.State},
			{"nonce", in.Nonce},
			{"code_challenge", in.Challenge},
			{"code_challenge_method", in.ChallengeMethod},
			{"scope", in.Scope},
		},
	}
	for _, resource := range in.Resources {
		view.Hidden = append(view.Hidden, field{"resource", resource})
	}
	// Browsers apply form-action to the redirect after the post, too.
	writePage(w, r, status, basePolicy+"; form-action 'self' "+formSource(in.RedirectURI), "login.html", view)
}

func (o oidc) login(w http.ResponseWriter, r *http.Request) {
	form, err := parseForm(w, r)
	if err != nil {
		writePage(w, r, http.StatusBadRequest, basePolicy+"; form-action 'none'", "refused.html", err)
		return
	}
	in := authorizeRequest(form)
	client, ok := o.checked(w, r, in)
	if !ok {
		return
	}
	email, as := form.Get("email"), form.Get("as")
	var code string
	switch {
	case as != "":
		code, ok = o.iss.LoginAs(client, in, as)
	case email == "" || form.Get("password") == "":
		o.showLogin(w, r, http.StatusBadRequest, client, in, email, "Enter an email address and a password.")
		return
	default:
		code, ok = o.iss.Login(client, in, email, form.Get("password"))
	}
	if !ok {
		o.deps.Telemetry.Logger.InfoContext(r.Context(), "login refused", "reason", "bad_credentials")
		o.showLogin(
			w, r, http.StatusUnauthorized, client, in, email,
			"The address or the password is wrong. The password of all accounts is demo.",
		)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, o.answer(in, url.Values{"code": {code}}), http.StatusFound)
}

func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// formSource is the origin as a source of a Content-Security-Policy. The grammar has no
// IPv6 literals, so for those the scheme must do. A gateway on this machine may go on to a page
// on any of its ports: that redirect follows from the form, too.
func formSource(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case u.Scheme != "http" && u.Scheme != "https": // an editor's
		return u.Scheme + ":"
	case strings.ContainsAny(u.Host, "[];, '"):
		return u.Scheme + ":"
	case u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1":
		return u.Scheme + "://" + u.Host + " http://localhost:* http://127.0.0.1:*"
	default:
		return u.Scheme + "://" + u.Host
	}
}
