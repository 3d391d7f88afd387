package app_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/app"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

// world is an ingress on real sockets with a NoETL of the test.
type world struct {
	t      *testing.T
	noetl  *ingresstest.NoETL
	server *httptest.Server
	nats   *testkit.NATS
	conn   *nats.Conn // the service's
	reg    *prometheus.Registry
	url    string
}

func boot(t *testing.T, settings ...string) *world {
	t.Helper()
	w := &world{t: t, noetl: ingresstest.NewNoETL(), nats: testkit.StartNATS(t)}
	w.conn = w.nats.Connect(t)
	w.server = httptest.NewServer(w.noetl.Handler())
	t.Cleanup(w.server.Close)
	cfg, err := app.Load(append([]string{
		"GATEWAY_PORT=0", "GATEWAY_BIND=127.0.0.1", "NOETL_BASE_URL=" + w.server.URL,
		"NOETL_INTERNAL_API_TOKEN=" + ingresstest.Token, "INGRESS_MAX_BODY_BYTES=1024",
		"INGRESS_LISTENER_TTL_SECS=0",
	}, settings...))
	if err != nil {
		t.Fatal(err)
	}
	tel, health := telemetry.Nop("ingress"), &httpkit.Health{}
	w.reg = tel.Registry
	a, err := app.New(t.Context(), cfg, run.Host{Telemetry: tel, NATS: w.conn, Health: health})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run.All(ctx, tel.Logger, run.DrainTimeout, a.Components()...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.url = a.Ready().Public
	return w
}

// send delivers; headers are name, value pairs. The answer is "status body".
func (w *world) send(method, path, body string, headers ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(bytes.TrimSpace(b))
}

func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(ingresstest.Secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

const body = `{"order":12345678901234567890}`

func TestAGenuineDeliveryStartsExactlyOneExecution(t *testing.T) {
	t.Parallel()
	w := boot(t)
	code, answer := w.send(
		"POST", "/ingress/orders", body, "X-Signature", sign(body), "Content-Type", "application/json",
	)
	if code != 202 || answer != `{"execution_id":"`+ingresstest.FirstExecution+`","status":"accepted"}` {
		t.Errorf("%d %s", code, answer)
	}
	started := w.noetl.Started()
	if len(started) != 1 || started[0].Path != "demo/webhook" || started[0].ExecutionPool != "fast" ||
		started[0].ParentExecutionID == nil ||
		*started[0].ParentExecutionID != 42 {
		t.Fatalf("%+v", started)
	}
	if code, answer := w.send(
		"POST", "/ingress/hook", "text", "Authorization", "Bearer "+ingresstest.Secret,
	); code != 202 {
		t.Errorf("bearer: %d %s", code, answer)
	}
}

func TestWhatIsRejectedStartsNothing(t *testing.T) {
	t.Parallel()
	w := boot(t)
	for name, c := range map[string]struct {
		method, path, body, signature string
		code                          int
		reason                        string
	}{
		"forged":        {"POST", "/ingress/orders", body, sign(body + " "), 401, "bad_signature"},
		"unsigned":      {"POST", "/ingress/orders", body, "", 401, "missing_signature"},
		"unknown":       {"POST", "/ingress/none", body, sign(body), 404, "unknown_listener"},
		"too large":     {"POST", "/ingress/orders", strings.Repeat("x", 1025), sign(body), 413, "too_large"},
		"encoded slash": {"POST", "/ingress/orders%2Fx", body, sign(body), 404, "unknown_listener"},
		"encoded dots":  {"POST", "/ingress/..%2Forders", body, sign(body), 404, "unknown_listener"},
		"three dots":    {"POST", "/ingress/...", body, sign(body), 404, "unknown_listener"},
		"longer":        {"POST", "/ingress/orders/x", body, sign(body), 404, "unknown_listener"},
		"no name":       {"POST", "/ingress/", body, sign(body), 404, "unknown_listener"},
	} {
		code, answer := w.send(c.method, c.path, c.body, "X-Signature", c.signature)
		if code != c.code || !strings.HasPrefix(answer, `{"status":"rejected","reason":"`+c.reason+`","error":"`) ||
			strings.Contains(answer, ingresstest.Secret) {
			t.Errorf("%s: %d %s", name, code, answer)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if code, answer := w.send(method, "/ingress/orders", body, "X-Signature", sign(body)); code != 405 ||
			!strings.Contains(answer, "method_not_allowed") {
			t.Errorf("%s: %d %s", method, code, answer)
		}
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}

func TestOutagesAreToldApart(t *testing.T) {
	t.Parallel()
	unset := boot(t, "NOETL_INTERNAL_API_TOKEN=")
	if code, answer := unset.send("POST", "/ingress/orders", body, "X-Signature", sign(body)); code != 503 ||
		!strings.Contains(answer, `"reason":"not_configured"`) {
		t.Errorf("token unset: %d %s", code, answer)
	}
	w := boot(t, "INGRESS_LISTENER_TTL_SECS=60")
	if code, answer := w.send("POST", "/ingress/orders", body, "X-Signature", sign(body)); code != 202 {
		t.Fatalf("%d %s", code, answer)
	}
	w.noetl.Fail(fault.New(fault.Internal, "x", "secret text of NoETL"))
	if code, answer := w.send("POST", "/ingress/hook", body, "X-Signature", sign(body)); code != 502 ||
		!strings.Contains(answer, `"reason":"config_error"`) || strings.Contains(answer, "secret text") {
		t.Errorf("%d %s", code, answer)
	}
	w.server.Close()
	if code, answer := w.send("POST", "/ingress/orders", body, "X-Signature", sign(body)); code != 202 ||
		!strings.Contains(answer, `"delivery_id"`) {
		t.Errorf("NoETL down: %d %s", code, answer)
	}
	if code, answer := w.send("GET", "/readyz", ""); code != 200 || !strings.Contains(answer, `"degraded"`) ||
		!strings.Contains(answer, `"noetl"`) {
		t.Errorf("readiness: %d %s", code, answer)
	}
}

func TestTheREADMEHoldsTheSettings(t *testing.T) {
	t.Parallel()
	testkit.ReadmeHolds(t, "../README.md", &app.Config{})
}

func TestSettingsAreChecked(t *testing.T) {
	for _, bad := range []string{
		"GATEWAY_PORT=-1", "INGRESS_MAX_BODY_BYTES=0", "INGRESS_DISPATCH_TIMEOUT_SECS=0",
		"INGRESS_LISTENER_TTL_SECS=-1", "INGRESS_MAX_BODY=1", "NOETL_BASE_URL=x", "INGRESS_PATIENCE_SECS=0",
		"INGRESS_DISPATCHES_MAX=0", "INGRESS_INBOX_MAX_BYTES=1", "INGRESS_BODIES_MAX_BYTES=1",
		"INGRESS_DELIVERY_RETENTION_SECS=60", "INGRESS_RETRY_MIN_SECS=0", "INGRESS_RETRY_MAX_SECS=0",
		"INGRESS_RETRY_ATTEMPTS=0", "INGRESS_RETRY_EXPIRE_SECS=0",
	} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := app.Load([]string{bad}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
