package telemetry_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/noetl/gateway/libs/telemetry"
)

// Traces are read by others, and a session token lets whoever reads it act for its user. A client may send it
// anywhere.
func TestNoSpanHoldsTheToken(t *testing.T) {
	t.Parallel()
	const token = "0aB-secret_Session.token~9"
	for name, c := range map[string]struct {
		path    string
		headers map[string]string
	}{
		"path, bearer":        {"/noetl/" + token, map[string]string{"Authorization": "Bearer " + token}},
		"path, header":        {"/events/" + token + "/x", map[string]string{"X-Session-Token": token}},
		"path, cookie":        {"/x/a" + token + "b", map[string]string{"Cookie": "session_token=" + token}},
		"path, host cookie":   {"/x/" + token, map[string]string{"Cookie": "a=b; __Host-session=" + token}},
		"path, query":         {"/events/" + token + "?session_token=" + token, nil},
		"path, ticket":        {"/events/" + token + "?ticket=" + token, nil},
		"path, no credential": {"/noetl/" + token, nil},
		"encoded": {
			"/noetl/0aB%2Dsecret%5FSession%2etoken~9", map[string]string{"X-Session-Token": token},
		},
		"encoded twice":     {"/noetl/0aB%252Dsecret_Session.token~9", map[string]string{"X-Session-Token": token}},
		"after a separator": {"/noetl/x;y=" + token + ";z", nil},
		"user agent":        {"/x", map[string]string{"X-Session-Token": token, "User-Agent": "ua " + token}},
		"trace state": {
			"/x", map[string]string{"X-Session-Token": token, "Traceparent": parent, "Tracestate": "v=" + token},
		},
		"host":                  {"/x", map[string]string{"X-Session-Token": token, "Host": token}},
		"name of a playbook":    {"/noetl/execute", map[string]string{"X-Session-Token": token}},
		"query is never looked": {"/noetl/x?a=" + token, nil},
	} {
		tel, recorder := recorded()
		up := tel.Transport(roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}))
		h := tel.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://noetl"+r.URL.EscapedPath(), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := up.RoundTrip(out)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := telemetry.Mask(r.Context(), "demo/"+token); c.headers["X-Session-Token"] != "" &&
				got != "demo/***" {
				t.Errorf("%s: a name became %q", name, got)
			}
		}))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
		for k, v := range c.headers {
			r.Header.Set(k, v)
		}
		if host := c.headers["Host"]; host != "" {
			r.Host = host
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if n := len(recorder.Ended()); n != 2 {
			t.Fatalf("%s: %d spans", name, n)
		}
		for _, s := range recorder.Ended() {
			if text := dump(s); strings.Contains(text, "secret") || strings.Contains(text, "Session") {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func dump(s sdktrace.ReadOnlySpan) string {
	text := s.Name() + " " + s.SpanContext().TraceState().String() + " " + s.Status().Description
	for k, v := range attributes(s) {
		text += " " + string(k) + "=" + v
	}
	return text
}

// What is no token stays: a path without its words would say nothing.
func TestPathsStayReadable(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/noetl/executions/77000000000000060123/status": "/noetl/executions/77000000000000060123/status",
		"/noetl/catalog/api_integration/auth0/login":    "/noetl/catalog/api_integration/auth0/login",
		"/noetl/a%20b/c:d": "/noetl/a%20b/c:d",
		"/api/results/550e8400-e29b-41d4-a716-446655440000": "/api/results/***",
		"/noetl/x/t/y": "/noetl/x/***/y",
		"/noetl/title": "/noetl/title", // a short cookie masks no part of a word
	} {
		tel, recorder := recorded()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Cookie", "session_token=t")
		tel.Serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
		if got := attributes(recorder.Ended()[0])["url.path"]; got != want {
			t.Errorf("%s became %s", path, got)
		}
	}
}

// The id of a request is in each line that is written for it, in the process that the request reached and in those
// that are called for it.
func TestTheRequestIDIsInEachLine(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	tel, err := telemetry.Setup(
		t.Context(), "svc", "v1", telemetry.Config{Format: "text", Level: "info"}, &b, telemetry.NewRegistry("v1"))
	if err != nil {
		t.Fatal(err)
	}
	for id, plain := range map[string]bool{
		"req-1:a_b.c": true, "": false, "a b": false, "a\nlevel=ERROR": false, strings.Repeat("x", 129): false,
	} {
		b.Reset()
		there := headers{}
		tel.Propagator().Inject(telemetry.WithRequestID(t.Context(), id), there)
		ctx := tel.Propagator().Extract(context.Background(), there)
		tel.Logger.With("k", "v").InfoContext(ctx, "line")
		if got := strings.Contains(b.String(), " request_id="+id+"\n"); got != plain ||
			strings.Contains(b.String(), "request_id") != plain {
			t.Errorf("%q: %s", id, b.String())
		}
	}
}

type headers map[string]string

// Get implements propagation.TextMapCarrier.
func (h headers) Get(key string) string { return h[key] }

// Set implements propagation.TextMapCarrier.
func (h headers) Set(key, value string) { h[key] = value }

// Keys implements propagation.TextMapCarrier.
func (h headers) Keys() []string { return nil }
