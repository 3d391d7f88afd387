// Package console serves the page at /: hand-written HTML, CSS and JavaScript that shows what
// the gateway does. It is switched on by a setting.
package console

import (
	"embed"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/noetl/gateway/libs/httpkit"
)

//go:embed static
var static embed.FS

// Config is what the page is told, as JSON at /console/config.json.
type Config struct {
	Version  string   `json:"version"`
	Sandbox  bool     `json:"sandbox"`
	Issuer   string   `json:"issuer"`
	ClientID string   `json:"client_id"`
	Audience string   `json:"audience,omitempty"`
	Webhook  *Webhook `json:"webhook,omitempty"`
	Operator string   `json:"operator,omitempty"` // path of the operators' pages, if they are on this listener
}

// Webhook is a listener that the page may send signed samples to. Its secret is no secret: it
// is set for the sandbox only.
type Webhook struct {
	Listener string `json:"listener"`
	Header   string `json:"header"`
	Secret   string `json:"secret"`
}

// Register adds the page and its files to a mux.
func Register(mux *http.ServeMux, cfg Config) error {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return err
	}
	policy := policy(cfg.Issuer)
	serve := func(w http.ResponseWriter, r *http.Request, name string) {
		body, err := fs.ReadFile(files, name)
		if err != nil {
			httpkit.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType(name))
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(body) //nolint:gosec // an embedded file, whatever its name; the peer may be gone
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { serve(w, r, "index.html") })
	mux.HandleFunc(
		"GET /console/config.json",
		func(w http.ResponseWriter, _ *http.Request) { httpkit.WriteJSON(w, http.StatusOK, cfg) },
	)
	mux.HandleFunc(
		"GET /console/{file}",
		func(w http.ResponseWriter, r *http.Request) { serve(w, r, r.PathValue("file")) },
	)
	return nil
}

// policy lets the page load its own files and talk to the gateway and the issuer, no more.
func policy(issuer string) string {
	origin := ""
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		origin = " " + u.Scheme + "://" + u.Host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src " +
		"'self'" + origin +
		"; form-action 'self'" + origin + "; base-uri 'none'; frame-ancestors 'none'"
}

// contentType is spelled out: what the machine's MIME tables say must not decide whether a
// browser runs the page.
func contentType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return "application/octet-stream"
	}
}
