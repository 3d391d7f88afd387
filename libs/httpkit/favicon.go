package httpkit

import (
	_ "embed" // favicon.svg
	"net/http"
)

// IconPath is where pages find the icon that [Icon] serves.
const IconPath = "/favicon.svg"

//go:embed favicon.svg
var icon []byte

// Icon adds the icon of our pages to a mux, also where browsers ask for one that no page names. An SVG image may hold
// scripts: the policy keeps this one an image for whoever opens it.
func Icon(mux *http.ServeMux) {
	serve := func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "image/svg+xml")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "public, max-age=86400")
		_, _ = w.Write(icon) // the peer may be gone
	}
	for _, path := range []string{IconPath, "/favicon.ico"} {
		mux.HandleFunc("GET "+path, serve)
	}
}
