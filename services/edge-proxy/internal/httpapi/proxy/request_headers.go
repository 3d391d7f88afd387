package proxy

import (
	"net"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	t := proxyCallOf(pr.In)
	out, s := pr.Out, t.caller.Session
	out.URL.Scheme, out.URL.Host = t.base.Scheme, t.base.Host
	out.URL.RawPath = strings.TrimRight(t.base.EscapedPath(), "/") + t.path
	if plain, err := url.PathUnescape(out.URL.RawPath); err == nil {
		out.URL.Path = plain
	}
	out.URL.RawQuery = withoutToken(pr.In.URL.RawQuery, t.caller.Token.Reveal())
	out.Host = t.base.Host
	header := out.Header // a copy that is ours to change
	upgrade := header.Get("Upgrade") != ""
	for name, values := range header {
		if !edge.ForwardRequestHeader(name) && (!upgrade || !edge.Upgrading(name)) {
			delete(header, name)
			continue
		}
		for _, v := range values {
			if holdsToken(v, t.caller.Token.Reveal()) {
				delete(header, name)
				break
			}
		}
	}
	header["X-User-Id"] = []string{strconv.FormatInt(s.UserID, 10)}
	header["X-User-Email"] = []string{headerText(s.Email)}
	header["X-User-Roles"] = []string{headerText(strings.Join(s.Roles, ","))}
	header["User-Agent"] = nil // keeps net/http from adding its own
	forwardedFor(pr, p.Public)
}

// forwardedFor says who asked and for what origin: public, if it is set, since the client may name any host. What the
// client sent of these is gone.
func forwardedFor(pr *httputil.ProxyRequest, public *url.URL) {
	if client := httpkit.ClientOf(pr.In.Context()); client.IsValid() {
		pr.Out.Header["X-Forwarded-For"] = []string{client.String()}
	} else if host, _, err := net.SplitHostPort(pr.In.RemoteAddr); err == nil {
		pr.Out.Header["X-Forwarded-For"] = []string{host}
	}
	host, proto := pr.In.Host, "http"
	switch {
	case public != nil:
		host, proto = public.Host, public.Scheme
	case pr.In.TLS != nil:
		proto = "https"
	}
	pr.Out.Header["X-Forwarded-Host"] = []string{host}
	pr.Out.Header["X-Forwarded-Proto"] = []string{proto}
}

// headerText keeps what a header may hold: a name with a line break would end the header.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// holdsToken reports whether a text contains the caller's session token, as it is or encoded.
func holdsToken(text, token string) bool {
	if token == "" {
		return false
	}
	if strings.Contains(text, token) {
		return true
	}
	plain, err := url.QueryUnescape(text)
	return err == nil && strings.Contains(plain, token)
}

// withoutToken takes what is named session_token, and the caller's token under any other name,
// out of a query and leaves the rest as it was. Some servers separate pairs by ; too.
func withoutToken(raw, token string) string {
	if raw == "" {
		return raw
	}
	var kept []string
next:
	for pair := range strings.SplitSeq(raw, "&") {
		for part := range strings.SplitSeq(pair, ";") {
			name, _, _ := strings.Cut(part, "=")
			if plain, err := url.QueryUnescape(name); err == nil && strings.EqualFold(plain, "session_token") {
				continue next
			}
		}
		if !holdsToken(pair, token) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
