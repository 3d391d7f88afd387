package testkit

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Client is the HTTP client of tests. That of net/http loses its idle connections whenever an httptest.Server closes
// anywhere in the process, also one that is just about to be used.
var Client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16}}

// Direct is a [Client] that follows no redirect.
var Direct = &http.Client{
	Transport:     Client.Transport,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Answer is an HTTP answer, read to its end.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Request makes a request. body is nil, a string (sent as JSON), url.Values (a form) or an io.Reader (of no type);
// headers are name, value, name, value.
func Request(tb testing.TB, method, target string, body any, headers ...string) *http.Request {
	tb.Helper()
	var reader io.Reader
	contentType := ""
	switch b := body.(type) {
	case string:
		reader, contentType = strings.NewReader(b), "application/json"
	case url.Values:
		reader, contentType = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	case io.Reader:
		reader = b
	}
	req, err := http.NewRequestWithContext(tb.Context(), method, target, reader)
	if err != nil {
		tb.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	setHeaders(req, headers)
	return req
}

func setHeaders(req *http.Request, headers []string) {
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
}

// Send sends a request and reads the answer to its end.
func Send(c *http.Client, req *http.Request) (Answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return Answer{Code: resp.StatusCode, Header: resp.Header, Body: string(body)}, err
}

// Do sends a [Request]. Space around the body of the answer is cut off.
func Do(tb testing.TB, method, target string, body any, headers ...string) Answer {
	tb.Helper()
	a, err := Try(tb, method, target, body, headers...)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// Try is Do for calls that may fail.
func Try(tb testing.TB, method, target string, body any, headers ...string) (Answer, error) {
	tb.Helper()
	a, err := Send(Client, Request(tb, method, target, body, headers...))
	a.Body = strings.TrimSpace(a.Body)
	return a, err
}

// Decode reads a JSON body.
func Decode[T any](tb testing.TB, a Answer) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		tb.Fatalf("%d %s: %v", a.Code, a.Body, err)
	}
	return v
}

// Ask asks a handler, without a socket.
func Ask(tb testing.TB, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	tb.Helper()
	req := httptest.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(body))
	setHeaders(req, headers)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

// Cookies returns the cookies of an answer by name.
func Cookies(rec *httptest.ResponseRecorder) map[string]*http.Cookie {
	found := map[string]*http.Cookie{}
	for _, c := range rec.Result().Cookies() {
		found[c.Name] = c
	}
	return found
}
