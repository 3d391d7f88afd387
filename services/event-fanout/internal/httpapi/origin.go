package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

// Origins are the web origins whose pages may open a WebSocket: a browser sends cookies along
// with it and asks nobody before (RFC 6455, section 10.2). "https://*.example.com" stands for
// all below, "*" for any.
type Origins []string

// Allow reports whether the request may open one. No Origin means no browser; a page of the
// gateway's own host may.
func (o Origins) Allow(r *http.Request) bool {
	list := r.Header.Values("Origin")
	if len(list) == 0 {
		return true
	}
	origin := strings.ToLower(list[0])
	u, err := url.Parse(origin)
	if len(list) > 1 || err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	for _, allowed := range o {
		before, after, pattern := strings.Cut(strings.ToLower(strings.TrimRight(allowed, "/")), "*")
		if origin == before && !pattern {
			return true
		}
		if pattern && len(origin) > len(before)+len(after) && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after) {
			return true
		}
	}
	return false
}
