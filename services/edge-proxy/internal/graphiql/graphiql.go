// Package graphiql serves the page at GET /graphql: GraphiQL from this process, with nothing
// loaded from elsewhere. Its library files are fetched by make (npm ci) and embedded; a build
// without them has a page that says so.
package graphiql

import (
	"embed"
	"io/fs"
	"net/http"
	"path"

	"github.com/noetl/gateway/libs/httpkit"
)

//go:embed all:assets static
var files embed.FS

// policy lets the page run its own files and talk to this gateway. The editor styles its lines
// itself, so inline styles are allowed; scripts are not.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page returns the page and adds the files that it loads to a mux. None of it needs a session.
func Page(mux *http.ServeMux) http.Handler {
	mux.HandleFunc(
		"GET /graphql/assets/{file}",
		func(w http.ResponseWriter, r *http.Request) { serve(w, r, r.PathValue("file")) },
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, "page.html") })
}

// kind returns the media type of a file that is served, or "": what the machine's MIME tables say must not
// decide whether a browser runs the page.
func kind(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	default:
		return ""
	}
}

func serve(w http.ResponseWriter, r *http.Request, name string) {
	body, err := fs.ReadFile(files, "static/"+name)
	if err != nil {
		body, err = fs.ReadFile(files, "assets/"+name)
	}
	media := kind(name)
	if err != nil || media == "" {
		httpkit.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(body) //nolint:gosec // an embedded file, whatever its name; the peer may be gone
}
