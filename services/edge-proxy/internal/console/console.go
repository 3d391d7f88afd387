// Package console serves the page at /: hand-written HTML, CSS and JavaScript that shows what
// the gateway does. It is switched on by a setting.
package console

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/noetl/gateway/libs/httpkit"
)

//go:embed static
var static embed.FS

// policy lets the page load its own files and talk to this gateway, no more. People sign in elsewhere, by following a
// redirect: no form is sent and nothing is fetched there.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Config is what the page is told, as JSON at /console/config.json.
type Config struct {
	Version  string   `json:"version"`
	Sandbox  bool     `json:"sandbox"`
	Webhook  *Webhook `json:"webhook,omitempty"`
	Operator string   `json:"operator,omitempty"` // path of the operators' pages, if they are on this listener
}

// Webhook is a listener that the page may send signed samples to, and the playbook that it starts. Its secret is no
// secret: it is set for the sandbox only.
type Webhook struct {
	Playbook string `json:"playbook"`
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
	default:
		return "application/octet-stream"
	}
}
