package edge_test

import (
	"net/textproto"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

func executeOf(path string) noetlwire.ExecuteRequest {
	return noetlwire.ExecuteRequest{Path: path, Workload: map[string]any{}, ResourceKind: noetlwire.KindPlaybook}
}

func TestPathsThatPass(t *testing.T) {
	for _, rest := range []string{
		"execute", "executions/582940187123449857/status", "catalog/a%20b", "catalog/a b", "catalog/%C3%A9t%C3%A9",
		"catalog/été", "events/2026-01-02T03:04:05Z",
		"executions/", "a/100%25", "a/%2525", "a/x%25zz", "a/b;v=1/c", "a/...b", "a/.well-known/x", "a/b..c",
		"a/b%3Fx", "a/b%23x", "internals", "internal-x/y",
		"a/internal", "x/internal/y", "a/~b!$&'()*+,=@", "a/" + strings.Repeat("x", 5000), "%E6%97%A5%E6%9C%AC",
		"a/🎉",
	} {
		if got, err := edge.UpstreamPath("/noetl/" + rest); err != nil || got != "/api/"+rest {
			t.Errorf("%s: %q %v", rest, got, err)
		}
	}
}

func TestPathsThatDoNot(t *testing.T) {
	for escaped, want := range map[string]fault.Kind{
		"": fault.NotFound, "/": fault.NotFound, "/noetl": fault.NotFound, "/noetl/": fault.NotFound,
		"/api/execute": fault.NotFound, "/NOETL/x": fault.NotFound, "noetl/x": fault.NotFound,
		// Dot segments, encoded once, twice, thrice, in part, with parameters, dressed up.
		"/noetl/.": fault.Invalid, "/noetl/..": fault.Invalid, "/noetl/../x": fault.Invalid,
		"/noetl/a/../../x": fault.Invalid, "/noetl/a/.": fault.Invalid, "/noetl/a/..": fault.Invalid,
		"/noetl/%2e%2e/x": fault.Invalid, "/noetl/a/%2E%2e": fault.Invalid, "/noetl/a/.%2e/b": fault.Invalid,
		"/noetl/a/%252e%252e/b": fault.Invalid, "/noetl/a/%25252e%25252e/b": fault.Invalid,
		"/noetl/a/..;/b": fault.Invalid, "/noetl/a/..;x=1/b": fault.Invalid, "/noetl/a/%2e%2e%3bx/b": fault.Invalid,
		"/noetl/a/.. /b": fault.Invalid, "/noetl/a/..%20/b": fault.Invalid,
		"/noetl/a/..%3f/b": fault.Invalid, "/noetl/a/..%23/b": fault.Invalid, "/noetl/a/.../b": fault.Invalid,
		"/noetl/;a/b": fault.Invalid, "/noetl/a/%20/b": fault.Invalid,
		// Encoded so often that no honest client did it.
		"/noetl/a/%2525252525252e": fault.Invalid,
		// Slashes and backslashes within a segment.
		"/noetl/a%2fb": fault.Invalid, "/noetl/a%2Fb": fault.Invalid, "/noetl/a%252fb": fault.Invalid,
		"/noetl/a%5cb": fault.Invalid, `/noetl/a\b`: fault.Invalid, `/noetl/..\..\x`: fault.Invalid,
		// beside a percent sign that encodes nothing
		"/noetl/a%252f..%25zz": fault.Invalid, "/noetl/%252e%252e%252f%25zz": fault.Invalid,
		// Empty segments.
		"/noetl//": fault.Invalid, "/noetl//x": fault.Invalid, "/noetl/a//b": fault.Invalid,
		"/noetl/a//": fault.Invalid,
		// Bad encodings, overlong UTF-8, control characters.
		"/noetl/a%": fault.Invalid, "/noetl/a%2": fault.Invalid, "/noetl/a%zz": fault.Invalid,
		"/noetl/%c0%ae%c0%ae/x": fault.Invalid, "/noetl/a%c0%afb": fault.Invalid,
		"/noetl/%e0%80%ae/x": fault.Invalid,
		"/noetl/a%ff":        fault.Invalid, "/noetl/a%00b": fault.Invalid, "/noetl/a%0d%0ab": fault.Invalid,
		"/noetl/a%7f": fault.Invalid, "/noetl/a\x01": fault.Invalid, "/noetl/a%c2%85": fault.Invalid,
		"/noetl/a%2500": fault.Invalid,
		// NoETL's internal routes in any spelling.
		"/noetl/internal": fault.NotFound, "/noetl/internal/": fault.NotFound, "/noetl/internal/x": fault.NotFound,
		"/noetl/INTERNAL/x": fault.NotFound, "/noetl/InTeRnAl": fault.NotFound,
		"/noetl/%69nternal/x": fault.NotFound, "/noetl/%2569nternal/x": fault.NotFound,
		"/noetl/internal;v=1/x": fault.NotFound, "/noetl/internal%3bv/x": fault.NotFound,
		"/noetl/internal%20/x": fault.NotFound,
		"/noetl/ internal/x":   fault.NotFound, "/noetl/internal./x": fault.NotFound,
		"/noetl/internal%3fx": fault.NotFound, "/noetl/internal%23": fault.NotFound,
		"/noetl/.internal":        fault.NotFound,
		"/noetl/internal%c2%a0/x": fault.NotFound,
	} {
		got, err := edge.UpstreamPath(escaped)
		if f := fault.Of(err); f == nil || f.Kind != want || got != "" {
			t.Errorf("%q: %q %v, want %v", escaped, got, err, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	for name, want := range map[string]bool{
		"Content-Type": true, "Content-Encoding": true, "Accept": true, "X-Anything": true, "X-Request-Id": true,
		"Traceparent": true, "tracestate": true, "Baggage": false,
		"Authorization": false, "Cookie": false, "X-Session-Token": false, "x-session-token": false,
		"X-User-Id": false, "X-USER-EMAIL": false, "X-User-Roles": false, "X-User-Anything": false,
		"X-User_Id": false, "X_User_Id": false, "X-Session_Token": false, "X-Forwarded_For": false,
		"X-Forwarded-For": false, "X-Forwarded-Host": false, "X-Real-Ip": false, "Forwarded": false,
		"X-Auth-Request-User":    false,
		"X-Http-Method-Override": false, "X-HTTP-Method": false, "X-Method-Override": false,
		"X-Original-Url": false, "X-Rewrite-Url": false,
		"Connection": false, "Upgrade": false, "Te": false, "Transfer-Encoding": false,
		"Proxy-Authorization": false, "Host": false, "Origin": false, "Referer": false, "User-Agent": false,
		"Range": false, "": false,
	} {
		if got := edge.ForwardRequestHeader(textproto.CanonicalMIMEHeaderKey(name)); got != want {
			t.Errorf("request %q: %v", name, got)
		}
	}
	for name, want := range map[string]bool{
		"Content-Type": true, "CONTENT-LENGTH": true, "Content-Encoding": true, "Cache-Control": true, "Etag": true,
		"Location": true, "Content-Disposition": true, "Retry-After": true, "X-Total": true,
		"Set-Cookie": false, "Server": false, "Www-Authenticate": false, "Access-Control-Allow-Origin": false,
		"Strict-Transport-Security": false, "Connection": false, "Via": false, "Clear-Site-Data": false, "": false,
	} {
		if got := edge.ForwardResponseHeader(textproto.CanonicalMIMEHeaderKey(name)); got != want {
			t.Errorf("response %q: %v", name, got)
		}
	}
}

// Whatever a server down the way decodes and cleans, an allowed path stays in /api/ and out of
// /api/internal.
func FuzzUpstreamPath(f *testing.F) {
	for _, s := range []string{
		"execute", "a/%2e%2e/b", "%2569nternal", "a%252f..%25zz", "internal;x", "..;/a", "a//b", "%c0%ae",
		"a/100%25/%2e", "%25%32%65", `\..`, "a/%25%32%65%25%32%65",
	} {
		f.Add("/noetl/" + s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		got, err := edge.UpstreamPath(escaped)
		if err != nil {
			if got != "" {
				t.Fatalf("refused and yet %q", got)
			}
			return
		}
		for range 6 {
			if !strings.HasPrefix(got, "/api/") || strings.ContainsAny(got, "\\\x00\r\n") {
				t.Fatalf("%q became %q", escaped, got)
			}
			clean := path.Clean(got)
			name, _, _ := strings.Cut(strings.TrimPrefix(clean, "/api/"), "/")
			name, _, _ = strings.Cut(name, ";")
			if !strings.HasPrefix(clean, "/api/") || strings.EqualFold(strings.TrimSpace(name), "internal") ||
				clean != strings.TrimRight(got, "/") {
				t.Fatalf("%q is %q to who cleans it", escaped, clean)
			}
			plain, err := url.PathUnescape(got)
			if err != nil {
				break
			}
			got = plain
		}
		if !utf8.ValidString(got) {
			t.Fatalf("%q became %q", escaped, got)
		}
	})
}
