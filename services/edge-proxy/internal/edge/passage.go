package edge

import (
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/fault"
)

// Prefixes of the proxy (wire contract, section 4).
const (
	IncomingPrefix = "/noetl/"
	UpstreamPrefix = "/api/"
)

// UpstreamPath maps an escaped public path to the escaped path at NoETL, or refuses it. What
// is refused could, after some decoding or cleaning on the way, mean another path than the one
// that was checked: dot segments, empty segments, encoded slashes and backslashes, control
// characters, and NoETL's internal routes in any spelling.
func UpstreamPath(escaped string) (string, error) {
	rest, ok := strings.CutPrefix(escaped, IncomingPrefix)
	if !ok || rest == "" {
		return "", fault.New(fault.NotFound, "no_such_route", "the path must be /noetl/ and a path of NoETL's API")
	}
	segments := strings.Split(rest, "/")
	for i, segment := range segments {
		if segment == "" && i < len(segments)-1 {
			return "", badPath("empty segments")
		}
		plain, err := fullyUnescape(segment)
		switch {
		case err != nil:
			return "", badPath("bad percent-encoding")
		case plain == "." || plain == "..":
			return "", badPath("dot segments")
		case strings.ContainsAny(plain, `/\`):
			return "", badPath("encoded slashes or backslashes")
		case strings.ContainsFunc(plain, func(r rune) bool { return r < 0x20 || r == 0x7f }):
			return "", badPath("control characters")
		}
		if i == 0 {
			name, _, _ := strings.Cut(plain, ";") // some servers take ;parameters off a segment
			if strings.EqualFold(strings.TrimSpace(name), "internal") {
				return "", fault.New(fault.NotFound, "no_such_route", "there is nothing at this path")
			}
			if name == "" || strings.Trim(name, ". ") == "" {
				return "", badPath("dot segments")
			}
		}
	}
	return UpstreamPrefix + rest, nil
}

// fullyUnescape decodes until nothing is encoded any more: a segment encoded twice must not
// turn into something else one hop later.
func fullyUnescape(s string) (string, error) {
	for range 4 {
		plain, err := url.PathUnescape(s)
		if err != nil || plain == s {
			return plain, err
		}
		s = plain
		if !strings.Contains(s, "%") {
			return s, nil
		}
		if _, err := url.PathUnescape(s); err != nil {
			return s, nil //nolint:nilerr // a percent sign that encodes nothing stands for itself
		}
	}
	return "", url.EscapeError(s)
}

func badPath(what string) error {
	return fault.New(fault.Invalid, "bad_path", "the path must not contain "+what)
}

// ForwardRequestHeader reports whether a client's header may pass to NoETL: Content-Type,
// Content-Encoding, Accept, x-* and trace context. Never what identifies or authenticates the
// client (we say who it is), what claims to be from a proxy (we are the first that NoETL may
// believe), or what makes a server see another path or method.
func ForwardRequestHeader(name string) bool {
	switch name = strings.ToLower(name); name {
	case "content-type", "content-encoding", "accept", "traceparent", "tracestate", "baggage":
		return true
	case "x-session-token", "x-original-url", "x-rewrite-url", "x-original-uri", "x-original-method",
		"x-http-method", "x-http-method-override", "x-method-override", "x-real-ip", "x-client-ip", "x-cluster-client-ip":
		return false
	}
	return strings.HasPrefix(name, "x-") && !strings.HasPrefix(name, "x-user-") && !strings.HasPrefix(name, "x-user_") &&
		!strings.HasPrefix(name, "x-forwarded-") && !strings.HasPrefix(name, "x-auth-request-")
}

// ForwardResponseHeader reports whether a header of NoETL's answer may pass to the client.
func ForwardResponseHeader(name string) bool {
	switch name = strings.ToLower(name); name {
	case "content-type", "content-length", "content-encoding", "cache-control", "etag", "location", "content-disposition", "retry-after":
		return true
	}
	return strings.HasPrefix(name, "x-")
}
