package edge

import (
	"mime"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/shard"
)

// Prefixes of the proxy (wire contract, section 4).
const (
	IncomingPrefix = "/noetl/"
	UpstreamPrefix = "/api/"
)

// UpstreamPath maps an escaped public path to the escaped path at NoETL, or refuses it. What
// is refused could, after some decoding or cleaning on the way, mean another path than the one
// that was checked: dot segments (also with the ;parameters that some servers take off a
// segment), empty segments, encoded slashes and backslashes, control characters, bytes that are
// no UTF-8 (an overlong dot is some), and, in any spelling, NoETL's internal routes and its auth
// routes: those believe a token whose signature only our auth service checks.
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
		plain, ok := fullyUnescape(segment)
		switch {
		case !ok || !utf8.ValidString(plain):
			return "", badPath("bad percent-encoding")
		case strings.ContainsAny(plain, `/\`):
			return "", badPath("encoded slashes or backslashes")
		case strings.ContainsFunc(plain, unicode.IsControl):
			return "", badPath("control characters")
		}
		name := segmentName(plain)
		if segment != "" && name == "" {
			return "", badPath("dot segments")
		}
		if i == 0 && (strings.EqualFold(name, "internal") || strings.EqualFold(name, "auth")) {
			return "", fault.New(fault.NotFound, "no_such_route", "there is nothing at this path")
		}
	}
	return UpstreamPrefix + rest, nil
}

// segmentName is what the most lenient server would take a decoded segment for: without what
// follows a ; (parameters) or a ? or # that was encoded, and without dots and blanks around it.
func segmentName(plain string) string {
	if end := strings.IndexAny(plain, ";?#"); end >= 0 {
		plain = plain[:end]
	}
	return strings.TrimFunc(plain, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
}

// maxEncodings is how many times a segment may be encoded; honest clients do it once.
const maxEncodings = 4

// fullyUnescape decodes until nothing is encoded any more: a segment encoded twice must not
// turn into something else one hop later. The first round is strict. In later ones a percent
// sign that encodes nothing stands for itself and what is beside it is decoded all the same,
// as lenient servers do.
func fullyUnescape(s string) (string, bool) {
	plain, err := url.PathUnescape(s)
	if err != nil {
		return "", false
	}
	for range maxEncodings {
		next := lenientUnescape(plain)
		if next == plain {
			return plain, true
		}
		plain = next
	}
	return "", false
}

// lenientUnescape decodes once and leaves alone what cannot be decoded.
func lenientUnescape(s string) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '%')
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:at])
		end := min(at+3, len(s))
		if plain, err := url.PathUnescape(s[at:end]); err == nil {
			b.WriteString(plain)
		} else {
			b.WriteByte('%')
			end = at + 1
		}
		s = s[end:]
	}
}

func badPath(what string) error {
	return fault.New(fault.Invalid, "bad_path", "the path must not contain "+what)
}

// ForwardRequestHeader reports whether a client's header may pass to NoETL: Content-Type,
// Content-Encoding, Accept, Last-Event-ID, x-* and trace context. Never what identifies or authenticates the
// client (we say who it is), what claims to be from a proxy (we are the first that NoETL may
// believe), or what makes a server see another path or method. The name is in canonical form
// (net/http makes it so; this runs for each header of each call).
func ForwardRequestHeader(name string) bool {
	switch name {
	case "Content-Type", "Content-Encoding", "Accept", "Last-Event-Id", "Traceparent", "Tracestate":
		return true
	case "X-Session-Token", "X-Original-Url", "X-Rewrite-Url", "X-Original-Uri", "X-Original-Method",
		"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Real-Ip", "X-Client-Ip",
		"X-Cluster-Client-Ip", "X-User", "X-Client-Cert":
		return false
	}
	if !strings.HasPrefix(name, "X-") || !plainName(name) {
		return false
	}
	for _, prefix := range []string{"X-User-", "X-Forwarded-", "X-Auth", "X-Remote", "X-Noetl"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// plainName reports a name of letters, digits and hyphens. Servers that put headers into an environment (CGI, WSGI)
// write every other character as _, some drop it, and X.User.Id becomes the name that we say who calls with.
func plainName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	})
}

// Upgrading reports the headers that a change of protocol needs, on the request and on its answer.
func Upgrading(name string) bool {
	return name == "Connection" || name == "Upgrade" || (strings.HasPrefix(name, "Sec-Websocket-") && plainName(name))
}

// Scripts reports whether a browser may run something in a document of a media type (a value of Content-Type): then
// it would run with the origin of the gateway, and so with the session's cookie. What cannot be read, or is guessed
// by some browser, counts as such.
func Scripts(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return true
	}
	for _, part := range []string{"html", "xml", "xsl", "svg", "multipart/", "message/", "unknown", "*"} {
		if strings.Contains(media, part) {
			return true
		}
	}
	return false
}

// ForwardResponseHeader reports whether a header of NoETL's answer, its name in canonical form,
// may pass to the client.
func ForwardResponseHeader(name string) bool {
	switch name {
	case "Content-Type", "Content-Length", "Content-Encoding", "Cache-Control", "Etag", "Location",
		"Content-Disposition", "Retry-After":
		return true
	}
	// Some servers in front take these as orders to serve a file of theirs.
	return strings.HasPrefix(name, "X-") && plainName(name) && !strings.HasPrefix(name, "X-Accel-") &&
		name != "X-Sendfile" && name != "X-Lighttpd-Send-File"
}

// ExecutionInPath returns the execution that a path of NoETL is about: executions/{id} and
// vars/{id}, with whatever follows. It decides which shard is asked.
func ExecutionInPath(upstream string) (int64, bool) {
	rest, ok := strings.CutPrefix(upstream, UpstreamPrefix+"executions/")
	if !ok {
		if rest, ok = strings.CutPrefix(upstream, UpstreamPrefix+"vars/"); !ok {
			return 0, false
		}
	}
	id, _, _ := strings.Cut(rest, "/")
	return shard.ParseID(id)
}

// ExecutionInBody reports the paths whose body names the execution, in its member execution_id.
func ExecutionInBody(upstream string) bool {
	return upstream == UpstreamPrefix+"events" || upstream == UpstreamPrefix+"events/batch"
}
