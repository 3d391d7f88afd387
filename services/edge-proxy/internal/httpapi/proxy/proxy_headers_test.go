package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyWhatMayPassReachesNoETL(t *testing.T) {
	seen := make(chan *http.Request, 1)
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	srv := front(t, up.URL+"/")
	send(
		t, "POST", srv.URL+"/noetl/a%20b/c:d?x=1&session_token=abc&y=%41", "body", "Content-Type", "text/plain",
		"Accept", "a/b", "X-Custom", "yes", "X-Request-Id", "req-1", "Traceparent",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-User-Id", "1", "X-User-Email",
		"root@example.com", "X-User-Roles", "root", "X-User-Anything", "1", "X_User_Id", "1", "X-Session-Token",
		"other", "Cookie", "session_token=abc; other=1", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host",
		"evil.example", "Forwarded", "for=192.0.2.1", "Connection", "X-Custom-Hop, X-User-Id, close",
		"X-Custom-Hop", "1", "Te", "trailers", "Keep-Alive", "1", "Proxy-Authorization", "x", "User-Agent",
		"browser", "Origin", origin, "Referer", "x", "X-Http-Method-Override", "DELETE", "X-Leak",
		"my token is "+token, "X-Leak-Encoded", "session-token%2B1%2F2",
	)
	r := <-seen
	if r.URL.EscapedPath() != "/api/a%20b/c:d" || r.URL.RawQuery != "x=1&y=%41" || r.Method != "POST" {
		t.Errorf("%s %s", r.Method, r.URL)
	}
	got := map[string]string{}
	for name, values := range r.Header {
		got[name] = strings.Join(values, "|")
	}
	want := map[string]string{
		"Content-Type":      "text/plain",
		"Accept":            "a/b",
		"X-Custom":          "yes",
		"X-Request-Id":      "req-1",
		"Content-Length":    "4",
		"X-User-Id":         "7",
		"X-User-Email":      "é@example.comX-Evil: 1",
		"X-User-Roles":      "user,admin",
		"X-Forwarded-For":   "127.0.0.1",
		"X-Forwarded-Host":  strings.TrimPrefix(srv.URL, "http://"),
		"X-Forwarded-Proto": "http",
		"Traceparent":       got["Traceparent"],
	}
	if diff := cmp.Diff(
		want,
		got,
	); diff != "" || !strings.Contains(got["Traceparent"], "0af7651916cd43dd8448eb211c80319c") ||
		"http://"+r.Host != up.URL {
		t.Errorf("host %s\n%s", r.Host, diff)
	}
}

func TestNoFormOfTheTokenIsForwarded(t *testing.T) {
	seen := make(chan string, 1)
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.URL.RawQuery })
	srv := front(t, up.URL)
	for raw, want := range map[string]string{
		"": "", "a=1&b=%20&c": "a=1&b=%20&c", "session_token=x": "", "a=1&session_token=x&b=2": "a=1&b=2",
		"session%5Ftoken=x&a=1": "a=1", "SESSION_TOKEN=x": "",
		"session_token": "", "a=1;session_token=x&b=2": "b=2", "token=session-token%2B1%2F2&b=2": "b=2",
		"token=session-token+1/2": "", "session-token%2b1%2F2": "",
		"x=%zz&session_token=%zz": "x=%zz", "session_tokens=1": "session_tokens=1",
	} {
		send(t, "GET", srv.URL+"/noetl/x?"+raw, "")
		if got := <-seen; got != want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
	}
	for _, by := range [][]string{{"X-Session-Token", token}, {"Cookie", "session_token=" + token}} {
		req := request(t, "GET", srv.URL+"/noetl/x?a=1", nil, by...)
		req.Header.Del("Authorization")
		if got := do(t, req); got.status != 200 || <-seen != "a=1" {
			t.Errorf("%v: %d %s", by, got.status, got.body)
		}
	}
}

func TestOnlyWhatMayPassReachesTheClient(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{
			"Set-Cookie", "Server", "Access-Control-Allow-Origin", "Www-Authenticate", "Strict-Transport-Security",
			"X-Request-Id", "X-Content-Type-Options", "Etag", "Cache-Control", "Content-Disposition", "Retry-After",
			"X-Total",
		} {
			w.Header().Set(name, "up")
		}
		w.Header().Set("Content-Type", "application/x-thing")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("hello"))
	})
	got := send(t, "GET", front(t, up.URL).URL+"/noetl/x", "", "Origin", origin, "X-Request-Id", "req-1")
	want := http.Header{
		"Content-Type":                     {"application/x-thing"},
		"Content-Length":                   {"5"},
		"Etag":                             {"up"},
		"Cache-Control":                    {"up"},
		"Content-Disposition":              {"up"},
		"Retry-After":                      {"up"},
		"X-Total":                          {"up"},
		"X-Request-Id":                     {"req-1"},
		"X-Content-Type-Options":           {"nosniff"},
		"X-Frame-Options":                  {"DENY"},
		"Content-Security-Policy":          {"frame-ancestors 'none'"},
		"Referrer-Policy":                  {"no-referrer"},
		"Access-Control-Allow-Origin":      {origin},
		"Access-Control-Allow-Credentials": {"true"},
		"Access-Control-Expose-Headers":    got.header["Access-Control-Expose-Headers"],
		"Vary":                             {"Origin"},
		"Date":                             got.header["Date"],
	}
	if diff := cmp.Diff(want, got.header); diff != "" || got.status != http.StatusTeapot || got.body != "hello" {
		t.Errorf("%d %s\n%s", got.status, got.body, diff)
	}
}

func TestRedirectsStayOutside(t *testing.T) {
	var location string
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	srv := front(t, up.URL+"/base/")
	host := strings.TrimPrefix(up.URL, "http://")
	for from, want := range map[string]string{
		"/base/api/x/y?z=1#f":            "/noetl/x/y?z=1#f",
		up.URL + "/base/api/a%20b/":      "/noetl/a%20b/",
		"HTTP://" + host + "/base/api/x": "/noetl/x",
		"other":                          "/noetl/dir/other",
		"../up":                          "/noetl/up",
		up.URL + "/base/docs":            "/noetl/",
		up.URL + "/admin":                "/noetl/",
		"/base/api/../secret":            "/noetl/",
		"https://cdn.example/file":       "https://cdn.example/file",
		"http://[bad":                    "/noetl/",
	} {
		location = from
		if got := send(t, "GET", srv.URL+"/noetl/dir/file", ""); got.header.Get("Location") != want {
			t.Errorf("%s became %s, want %s", from, got.header.Get("Location"), want)
		}
	}
}
