package httpkit

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// guardBrowser sets what every answer of ours has, pages and errors: no guessing of its type, no address of ours sent
// to other sites, no page of another site around it (clickjacking), nothing kept in a cache. A handler whose answer
// is meant to be kept, or whose page needs a policy of its own, sets its own.
func guardBrowser(h http.Header) {
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Referrer-Policy"] = []string{"no-referrer"}
	h["X-Frame-Options"] = []string{"DENY"}
	h["Content-Security-Policy"] = []string{"frame-ancestors 'none'"}
	h["Cache-Control"] = []string{"no-store"}
}

// Strict tells browsers to come back over TLS only (HSTS, RFC 6797), on answers over TLS. Over plain HTTP the header
// means nothing; a proxy in front that ends TLS sets its own. It holds for every port of a host, so that it is not
// sent to localhost, where other programs of the developer serve plain HTTP.
func (c TLSConfig) Strict(next http.Handler) http.Handler {
	if c.HSTS <= 0 {
		return next
	}
	value := "max-age=" + strconv.FormatInt(int64(c.HSTS/time.Second), 10)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && !localName(r.Host) {
			w.Header().Set("Strict-Transport-Security", value)
		}
		next.ServeHTTP(w, r)
	})
}

func localName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
