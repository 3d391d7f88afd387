package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/app"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

// world is an edge-proxy on real sockets and a real NATS server, with stand-ins around it.
type world struct {
	t       *testing.T
	nats    *testkit.NATS
	auth    *edgetest.Auth
	pending *edgetest.Pending
	subs    *edgetest.Subscriptions
	noetl   *noetltest.Server
	inbox   *edgetest.Deliveries
	journal *edgetest.Journal
	events  *httptest.Server // event-fanout's stream listener
	ingress *httptest.Server
	js      jetstream.JetStream
	health  *httpkit.Health
	url     string
	ops     string // of the operators' listener
	stop    func()
	tel     *telemetry.Telemetry // of the next start, nil for one that goes nowhere
}

// boot starts the world; settings are NAME=value.
func boot(t *testing.T, settings ...string) *world {
	t.Helper()
	return bootWith(t, nil, settings...)
}

// bootWith does it with telemetry that the test reads.
func bootWith(t *testing.T, tel *telemetry.Telemetry, settings ...string) *world {
	t.Helper()
	journal := &edgetest.Journal{}
	w := &world{
		t:       t,
		tel:     tel,
		nats:    testkit.StartNATS(t),
		auth:    &edgetest.Auth{},
		journal: journal,
		pending: edgetest.NewPending(journal),
		subs:    &edgetest.Subscriptions{},
		noetl:   noetltest.Start(t),
		inbox:   &edgetest.Deliveries{},
	}
	w.noetl.Journal = func(line string) { journal.Add(line) }
	nc := w.nats.Connect(t)
	w.js = w.nats.JetStream(t)
	if _, err := w.js.CreateKeyValue(
		t.Context(),
		jetstream.KeyValueConfig{Bucket: authwire.RevokedBucket},
	); err != nil {
		t.Fatal(err)
	}
	edgetest.Serve(t, nc, "auth", 10, edgetest.AuthService(nc, w.auth))
	edgetest.Serve(t, nc, "event-fanout", 5, edgetest.FanoutService(nc, w.pending, w.subs))
	edgetest.Serve(t, nc, "ingress", edgetest.IngressOperations, edgetest.IngressService(nc, w.inbox))
	serve := func(h http.Handler) *httptest.Server {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv
	}
	w.events = serve(http.HandlerFunc(eventRoutes))
	w.ingress = serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			return
		}
		rw.Header().Set("X-Path", r.URL.EscapedPath())
		rw.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(rw, r.Body)
	}))
	w.start(settings...)
	return w
}

func eventRoutes(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		return
	}
	rw.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(
		rw,
		"event: message\ndata: "+r.URL.Path+"?"+r.URL.RawQuery+" "+r.Header.Get("Authorization")+"\n\n",
	)
	_ = http.NewResponseController(rw).Flush()
	<-r.Context().Done() // a stream: it never ends by itself
}

func (w *world) start(settings ...string) {
	t := w.t
	t.Helper()
	cfg, err := app.Load(append([]string{
		"GATEWAY_PORT=0",
		"GATEWAY_OPERATOR_PORT=0",
		"GATEWAY_BIND=127.0.0.1",
		"NOETL_BASE_URL=" + w.noetl.URL,
		"GATEWAY_EVENTS_URL=" + w.events.URL,
		"GATEWAY_INGRESS_URL=" + w.ingress.URL,
		"GATEWAY_CALLBACK_URL=http://127.0.0.1:8091",
		"GATEWAY_CONSOLE=true",
		"GATEWAY_CONSOLE_SANDBOX=true",
		"GATEWAY_MAX_BODY_BYTES=65536",
	}, settings...))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := natskit.Connect(
		natskit.Config{URL: w.nats.URL(), Replicas: 1}, "edge-test", slog.New(slog.DiscardHandler),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	w.health = &httpkit.Health{}
	w.health.Add(httpkit.Check{Name: "nats", Critical: true, Probe: natskit.Probe(nc)}) // as run.Serve does
	tel := w.tel
	if tel == nil {
		tel = telemetry.Nop("edge-proxy")
	}
	a, err := app.New(t.Context(), cfg, run.Host{Telemetry: tel, NATS: nc, Health: w.health}, app.Neighbours{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run.All(ctx, tel.Logger, run.DrainTimeout, a.Components()...) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	w.url = a.Ready().Public
	if w.ops = a.Ready().Operator; w.ops == "" { // operators are at the public listener
		w.ops = w.url
	}
	testkit.Eventually(t, "edge-proxy serves", func() bool { return w.health.Serving(context.Background()) })
}

type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request; headers are name, value pairs.
func (w *world) send(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.sendTo(w.url, method, path, body, headers...)
}

func (w *world) sendTo(base, method, path, body string, headers ...string) answer {
	w.t.Helper()
	got, err := testkit.Send(
		testkit.Direct, testkit.Request(w.t, method, base+path, strings.NewReader(body), headers...),
	)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{got.Code, got.Header, strings.TrimSpace(got.Body)}
}

// refused checks that an answer is a JSON error of ours.
func (a answer) refused(t *testing.T, what string, status int, code string) {
	t.Helper()
	var body httpkit.ErrorBody
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != status || body.Code != code ||
		body.Error == "" {
		t.Errorf("%s: %d %s, want %d %s", what, a.status, a.body, status, code)
	}
}

const origin = "http://localhost:3000"

func TestFromLoginToLogout(t *testing.T) {
	t.Parallel()
	w := boot(t)

	// Login.
	in := w.send(
		"POST", "/api/auth/login", `{"auth0_token":"good"}`, "Content-Type", "application/json", "User-Agent",
		"browser", "Origin", origin,
	)
	var login authwire.LoginResponse
	if err := json.Unmarshal([]byte(in.body), &login); err != nil || in.status != 200 || login.SessionToken == "" {
		t.Fatalf("login: %d %s", in.status, in.body)
	}
	if in.header.Get("Access-Control-Allow-Origin") != origin || in.header.Get("X-Request-Id") == "" ||
		in.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", in.header)
	}
	if got := w.auth.Logins.All()[0]; got.ClientUserAgent != "browser" || got.ClientIP != "127.0.0.1" {
		t.Errorf("login passed on %+v", got)
	}
	bearer := []string{"Authorization", "Bearer " + login.SessionToken, "Content-Type", "application/json"}

	// GraphQL: expected before NoETL is called, bound after.
	query := `{"query":"mutation($v: JSON!){executePlaybook(name:\"demo/echo\",variables:$v,` +
		`clientId:\"c1\"){executionId requestId}}","variables":{"v":{"n":12345678901234567890}}}`
	out := w.send("POST", "/graphql", query, bearer...)
	var reply struct {
		Data struct {
			ExecutePlaybook struct{ ExecutionID, RequestID string }
		}
	}
	if err := json.Unmarshal([]byte(out.body), &reply); err != nil ||
		reply.Data.ExecutePlaybook.ExecutionID != noetltest.FirstExecution {
		t.Fatalf("execute: %d %s", out.status, out.body)
	}
	id := reply.Data.ExecutePlaybook.RequestID
	if diff := cmp.Diff(
		[]string{"expect " + id, "execute demo/echo", "bind " + id + " " + noetltest.FirstExecution},
		w.journal.All(),
	); diff != "" {
		t.Error(diff)
	}
	want := map[string]any{
		"n":           json.Number("12345678901234567890"),
		"request_id":  id,
		"gateway_url": "http://127.0.0.1:8091",
	}
	if diff := cmp.Diff(want, w.noetl.Started()[0].Workload); diff != "" {
		t.Error(diff)
	}
	if got := w.pending.Expected.All()[id]; got.Owner != "id:9007199254740993" || got.ClientID != "c1" ||
		got.SessionKey != authwire.NewToken(login.SessionToken).Key().String() {
		t.Errorf("expected %+v", got)
	}

	// Proxy.
	proxied := w.send("POST", "/noetl/echo/a%20b?x=1", `{"hello":1}`, append(bearer, "X-User-Id", "1")...)
	var echo struct {
		Method, Path, Query, Body string
		Header                    http.Header
	}
	if err := json.Unmarshal([]byte(proxied.body), &echo); err != nil || proxied.status != 200 {
		t.Fatalf("proxy: %d %s", proxied.status, proxied.body)
	}
	if echo.Path != "/api/echo/a%20b" || echo.Query != "x=1" || echo.Body != `{"hello":1}` ||
		echo.Header.Get("X-User-Id") != "9007199254740993" ||
		strings.Contains(proxied.body, login.SessionToken) {
		t.Errorf("NoETL saw %s", proxied.body)
	}

	// The event stream is passed on as it comes, token included: event-fanout checks it itself.
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/events?client_id=c1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", bearer[1])
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewReader(stream.Body)
	first, err1 := lines.ReadString('\n')
	second, err2 := lines.ReadString('\n')
	if err1 != nil || err2 != nil || first != "event: message\n" ||
		second != "data: /events?client_id=c1 "+bearer[1]+"\n" ||
		stream.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("stream: %q %q %v %v", first, second, err1, err2)
	}

	// Logout: the session is gone here as soon as auth has published the revocation.
	if got := w.send("POST", "/api/auth/logout", "", bearer...); got.status != 204 || got.body != "" {
		t.Errorf("logout: %d %s", got.status, got.body)
	}
	kv, err := w.js.KeyValue(t.Context(), authwire.RevokedBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), authwire.NewToken(login.SessionToken).Key().String(), "{}"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(
		t, "the session is over",
		func() bool { return w.send("GET", "/noetl/echo/x", "", bearer...).status == 401 },
	)
	w.send("POST", "/graphql", query, bearer...).refused(t, "graphql after logout", 401, "invalid_session")
}

func TestOtherAuthRoutes(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.auth.Grant("demo/echo")
	token := w.auth.Add(authwire.User{UserID: 7, Email: "u@example.com"})
	for name, c := range map[string]struct{ path, body, want string }{
		"valid": {"/api/auth/validate", `{"session_token":"` + token + `"}`, `"valid":true`},
		"invalid": {
			"/api/auth/validate", `{"session_token":"x"}`,
			`{"valid":false,"user":null,"expires_at":null,"message":"invalid"}`,
		},
		"allowed": {
			"/api/auth/check-access",
			`{"session_token":"` + token + `","playbook_path":"demo/echo","permission_type":"execute"}`,
			`"allowed":true`,
		},
		"denied": {
			"/api/auth/check-access",
			`{"session_token":"` + token + `","playbook_path":"demo/fail","permission_type":"execute"}`,
			`"allowed":false`,
		},
	} {
		if got := w.send("POST", c.path, c.body); got.status != 200 || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	w.send("POST", "/api/auth/login", `{"auth0_token":"forged"}`).refused(t, "forged token", 401, "bad_signature")
}

func TestDeliveriesArePassedToIngress(t *testing.T) {
	t.Parallel()
	w := boot(t)
	got := w.send("POST", "/ingress/orders", `{"n":1}`, "X-Signature", "abc")
	if got.status != 202 || got.body != `{"n":1}` || got.header.Get("X-Path") != "/ingress/orders" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	got = w.send("OPTIONS", "/ingress/orders", "", "WebHook-Request-Origin", "sender.example")
	if got.header.Get("X-Path") != "/ingress/orders" {
		t.Errorf("a sender that asks whether it may deliver: %d %v", got.status, got.header)
	}
	for _, header := range [][]string{
		nil, {
			"WebHook-Request-Origin", "x.example", "Access-Control-Request-Method", "POST",
			"Origin", "https://x.example",
		},
	} {
		if got = w.send("OPTIONS", "/ingress/orders", "", header...); got.header.Get("X-Path") != "" {
			t.Errorf("a browser's OPTIONS reaches ingress: %v", header)
		}
	}
	w.ingress.Close()
	w.send("POST", "/ingress/orders", "{}").refused(t, "ingress unavailable", 503, "ingress_unavailable")
}

func executeOf(path string) noetlwire.ExecuteRequest {
	return noetlwire.ExecuteRequest{Path: path, Workload: map[string]any{}, ResourceKind: noetlwire.KindPlaybook}
}
