package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/telemetry"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func recorded() (*telemetry.Telemetry, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	tel := telemetry.Nop("t")
	tel.Tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	return tel, recorder
}

func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]string {
	m := map[attribute.Key]string{}
	for _, kv := range s.Attributes() {
		m[kv.Key] = kv.Value.String()
	}
	return m
}

func TestAServersSpan(t *testing.T) {
	t.Parallel()
	tel, recorder := recorded()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(http.Flusher); !ok {
			t.Error("the writer cannot flush")
		}
		if !trace.SpanContextFromContext(r.Context()).IsValid() {
			t.Error("no span in the context")
		}
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusBadGateway)
	})
	srv := httptest.NewServer(tel.Serve(mux))
	t.Cleanup(srv.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/things/7?session_token=secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Traceparent", parent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	spans := recorder.Ended()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	s, a := spans[0], attributes(spans[0])
	if s.Name() != "GET /things/{id}" || s.Parent().TraceID().String() != parent[3:35] ||
		s.Status().Code != codes.Error ||
		s.SpanKind() != trace.SpanKindServer {
		t.Errorf("%s %v %v %v", s.Name(), s.Parent(), s.Status(), s.SpanKind())
	}
	if a["http.response.status_code"] != "502" || a["http.route"] != "/things/{id}" ||
		a["http.request.method"] != "GET" ||
		a["url.path"] != "/things/7" {
		t.Errorf("%v", a)
	}
	for k, v := range a {
		if strings.Contains(v, "secret") {
			t.Errorf("%s=%s", k, v)
		}
	}
}

func TestAHijackedConnectionIsTheHandlers(t *testing.T) {
	t.Parallel()
	tel, _ := recorded()
	srv := httptest.NewServer(tel.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 204 Mine\r\n\r\n")
		_ = conn.Close()
	})))
	t.Cleanup(srv.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.Status != "204 Mine" {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestAClientsSpan(t *testing.T) {
	t.Parallel()
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Traceparent")
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "body")
	}))
	t.Cleanup(srv.Close)
	tel, recorder := recorded()
	call := func(target string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", parent)
		resp, err := tel.Transport(http.DefaultTransport).RoundTrip(req)
		if req.Header.Get("Traceparent") != parent {
			t.Error("the caller's request was changed")
		}
		if err != nil {
			return err
		}
		if n := len(recorder.Ended()); n != 0 {
			t.Errorf("the span ended before the body: %d", n)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	}
	if err := call(srv.URL + "/x?session_token=secret"); err != nil {
		t.Fatal(err)
	}
	s := recorder.Ended()[0]
	if a := attributes(s); strings.Contains(a["url.full"], "secret") || !strings.HasSuffix(a["url.full"], "/x") ||
		a["http.response.status_code"] != "200" ||
		s.Status().Code == codes.Error {
		t.Errorf("%v", a)
	}
	if got == parent || !strings.Contains(got, s.SpanContext().SpanID().String()) {
		t.Errorf("sent %q, span %s", got, s.SpanContext().SpanID())
	}
	recorder.Reset()
	if err := call(srv.URL + "/missing"); err != nil {
		t.Fatal(err)
	}
	if s := recorder.Ended()[0]; s.Status().Code != codes.Error {
		t.Error("a 404 is no success")
	}
	recorder.Reset()
	srv.Close()
	if err := call(srv.URL); err == nil {
		t.Fatal("nobody is there")
	}
	if a := attributes(recorder.Ended()[0]); a["error.type"] != "connection" {
		t.Errorf("%v", a)
	}
}

type failing struct{ err error }

// RoundTrip implements http.RoundTripper.
func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestKindsOfFailedCalls(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{"canceled": context.Canceled, "timeout": &net.DNSError{
		IsTimeout: true, Name: "10.0.0.1",
	}, "connection": errors.New("10.0.0.1 refused")} {
		tel, recorder := recorded()
		req, rerr := http.NewRequestWithContext(t.Context(), "STRANGE", "http://x/", nil)
		if rerr != nil {
			t.Fatal(rerr)
		}
		_, got := tel.Transport(failing{err}).RoundTrip(req) //nolint:bodyclose // there is none
		if !errors.Is(got, err) {
			t.Error(got)
		}
		s := recorder.Ended()[0]
		a := attributes(s)
		if a["error.type"] != want || s.Name() != "HTTP" {
			t.Errorf("%s: %v %s", want, a, s.Name())
		}
		for k, v := range a {
			if strings.Contains(v, "10.0.0.1") {
				t.Errorf("%s=%s", k, v)
			}
		}
	}
}

func TestWithoutAnExporterTracesAreStillPassedOn(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Setup(
		t.Context(), "svc", "v1", telemetry.Config{Format: "text", Level: "info"}, io.Discard,
		telemetry.NewRegistry("v1"),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, root := tel.Tracer().Start(t.Context(), "root")
	_, child := tel.Tracer().Start(ctx, "child")
	r, c := root.SpanContext(), child.SpanContext()
	if !r.IsValid() || !c.IsValid() || r.TraceID() != c.TraceID() || r.SpanID() == c.SpanID() || !r.IsSampled() ||
		!c.IsSampled() ||
		root.IsRecording() {
		t.Errorf("%v %v", r, c)
	}
	unsampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: r.TraceID(), SpanID: r.SpanID()})
	if _, s := tel.Tracer().
		Start(trace.ContextWithSpanContext(t.Context(), unsampled), "x"); s.SpanContext().
		IsSampled() {
		t.Error("a parent that is not sampled became so")
	}
	if _, s := root.TracerProvider().Tracer("x").Start(t.Context(), "other"); s.SpanContext().TraceID() == r.TraceID() {
		t.Error("two traces have one id")
	}
}
