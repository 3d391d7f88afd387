package httpapi

import (
	"net/http"
	"strings"
)

// Senders passes on the OPTIONS with which a sender of CloudEvents asks whether it may deliver (CloudEvents,
// HTTP 1.1 Web Hooks, section 4.1). Any other OPTIONS is a browser's, which the gateway answers itself.
func Senders(ingress, browsers http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions && strings.HasPrefix(r.URL.Path, "/ingress/") &&
			r.Header.Get("WebHook-Request-Origin") != "" && r.Header.Get("Access-Control-Request-Method") == "" {
			ingress.ServeHTTP(w, r)
			return
		}
		browsers.ServeHTTP(w, r)
	})
}
