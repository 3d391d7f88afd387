package browserlogin

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

//go:embed static
var static embed.FS

//nolint:gochecknoglobals // a constant
var page = template.Must(template.ParseFS(static, "static/page.html"))

// failure is what the page tells. Again and Home are paths of this origin, or empty.
type failure struct {
	Title, Reason, Next, Again, Home string
}

// failureOf finds the words for an error. returnTo is where the browser wanted to go.
func (l login) failureOf(err error, returnTo string) failure {
	f := fault.Of(err)
	out := failure{
		Title: "Sign-in failed", Reason: f.Message, Home: l.on.Home, Again: loginRoute,
		Next: "You are not signed in. Nothing was changed, and you can begin again.",
	}
	if returnTo != "" {
		out.Again += "?" + url.Values{"return_to": {returnTo}}.Encode()
	}
	if f.Kind == fault.Internal || errors.Is(err, context.Canceled) || out.Reason == "" {
		out.Reason = "Something went wrong here. Please try again."
	}
	if !strings.HasSuffix(out.Reason, ".") {
		out.Reason += "."
	}
	switch {
	case f.Code == "browser_login_off":
		out.Title, out.Again = "Signing in is switched off", ""
		out.Next = "Whoever runs this gateway can switch it on: docs/operations.md says how."
	case f.Kind == fault.RateLimited:
		out.Next = "Wait a moment, then begin again."
	case fault.IsOutage(err):
		out.Next = "This passes in most cases. Wait a moment, then begin again."
	}
	return out
}

// writeFailure writes an error for a person, and as JSON for everything that does not ask for a page.
func (l login) writeFailure(w http.ResponseWriter, r *http.Request, err error, returnTo string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Add("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	f := fault.Of(err)
	httpkit.RetryAfter(w, f)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "+
			"frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(f.Kind.HTTPStatus())
	_ = page.Execute(w, l.failureOf(err, returnTo)) // the peer may be gone
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	body, err := static.ReadFile("static/page.css")
	if err != nil {
		httpkit.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(body) // the peer may be gone
}
