package app_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/app"
)

// boot starts the whole service on a NATS server of the test; nil is none.
func boot(t *testing.T, n *testkit.NATS, settings ...string) run.Ready {
	t.Helper()
	cfg, err := app.Load(append([]string{"SANDBOX_PORT=0"}, settings...))
	if err != nil {
		t.Fatal(err)
	}
	host := run.Host{Telemetry: telemetry.Nop("sandbox"), Health: &httpkit.Health{}}
	tel := host.Telemetry
	tel.Tracers = sdktrace.NewTracerProvider()
	if n != nil {
		host.NATS, err = natskit.Connect(
			natskit.Config{URL: n.URL(), Replicas: 1}, "sandbox-test", slog.New(slog.DiscardHandler),
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(host.NATS.Close)
	}
	a, err := app.New(t.Context(), cfg, host)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- run.All(ctx, tel.Logger, run.DrainTimeout, a.Components()...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a.Ready()
}

// call sends JSON, or a form if in is url.Values, and decodes the answer.
func call(t *testing.T, method, target string, in, out any, headers ...string) int {
	t.Helper()
	body, contentType := []byte(nil), "application/json"
	switch v := in.(type) {
	case nil:
	case url.Values:
		body, contentType = []byte(v.Encode()), "application/x-www-form-urlencoded"
	default:
		var err error
		if body, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, target, resp.StatusCode, text, err)
		}
	}
	return resp.StatusCode
}

// recorder is a gateway that records the callbacks it receives.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	posts []post
	// before, if not nil, is called before a post is recorded.
	before func(post)
}

type post struct {
	path, trace string
	body        map[string]any
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	g := &recorder{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := post{path: strings.TrimPrefix(r.URL.Path, "/api/internal/"), trace: r.Header.Get("Traceparent")}
		dec := json.NewDecoder(r.Body)
		dec.UseNumber()
		if err := dec.Decode(&p.body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if g.before != nil {
			g.before(p)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.posts = append(g.posts, p)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *recorder) got() []post {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]post(nil), g.posts...)
}

type lifecycle struct {
	Type string      `json:"event_type"`
	ID   json.Number `json:"execution_id"`
	Node string      `json:"node_name"`
}

// shown reports whether clients of a gateway see events of the type.
func shown(kind string) bool {
	return strings.HasPrefix(kind, "step.") || strings.HasPrefix(kind, "playbook")
}

// events reads noetl_events from its start, as far as clients see it.
func events(t *testing.T, js jetstream.JetStream) (lines []string, traces []string, ids []string) {
	t.Helper()
	s, err := js.Stream(t.Context(), "noetl_events")
	if err != nil {
		return nil, nil, nil
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var e lifecycle
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		if !shown(e.Type) {
			continue
		}
		lines, traces, ids = append(lines, e.Type+" "+e.Node), append(
			traces, m.Header.Get("traceparent"),
		), append(ids, e.ID.String())
	}
	return lines, traces, ids
}

func wantedEvents() []string {
	want := []string{"playbook_started demo/progress"}
	for _, s := range []string{"prepare", "extract", "transform", "load", "report"} {
		want = append(want, "step.enter "+s, "step.exit "+s)
	}
	return append(want, "playbook.completed playbook")
}

type started struct {
	ID     string `json:"execution_id"`
	Status string `json:"status"`
}

func TestProgressReachesTheGatewayAndJetStream(t *testing.T) {
	n := testkit.StartNATS(t)
	ready := boot(t, n)
	js := n.JetStream(t)
	g := newRecorder(t)
	late := 0
	g.before = func(p post) {
		if p.path == "callback/async" {
			lines, _, _ := events(t, js)
			late = len(lines)
		}
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	var out started
	status := call(t, http.MethodPost, ready.NoETL+"/api/execute", map[string]any{
		"path":          "demo/progress",
		"workload":      map[string]any{"step_ms": 1, "request_id": "r-1", "gateway_url": g.URL},
		"resource_kind": "playbook",
	}, &out, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	if status != 200 || out.Status != "started" {
		t.Fatalf("%d %+v", status, out)
	}
	testkit.Eventually(t, "six callbacks", func() bool { return len(g.got()) == 6 })
	for i, p := range g.got() {
		want := map[bool]string{true: "progress", false: "callback/async"}[i < 5]
		if p.path != want || p.body["request_id"] != "r-1" || !strings.Contains(p.trace, trace) {
			t.Errorf("callback %d: %+v", i, p)
		}
		if id := p.body["execution_id"]; i == 0 && id != nil || i > 0 && id != json.Number(out.ID) {
			t.Errorf("callback %d: execution %v", i, id)
		}
		if i < 5 && p.body["progress"] != json.Number(strconv.FormatFloat(float64(i+1)/5, 'g', -1, 64)) {
			t.Errorf("progress %d: %v", i, p.body["progress"])
		}
	}
	if last := g.got()[5]; last.body["status"] != "COMPLETED" {
		t.Errorf("result %+v", last.body)
	}
	lines, traces, ids := events(t, js)
	if diff := cmp.Diff(wantedEvents(), lines); diff != "" {
		t.Error(diff)
	}
	if late != len(lines) {
		t.Errorf("the result came after %d of %d events", late, len(lines))
	}
	for i := range lines {
		if !strings.Contains(traces[i], trace) || ids[i] != out.ID {
			t.Errorf("event %d: trace %q, id %s", i, traces[i], ids[i])
		}
	}
	var detail struct{ Status, Callback string }
	testkit.Eventually(t, "the callback to be noted", func() bool {
		call(t, http.MethodGet, ready.NoETL+"/sandbox/executions/"+out.ID, nil, &detail)
		return detail.Callback == "delivered" && detail.Status == "COMPLETED"
	})
}

func TestNATSRestartsInTheMiddleOfAnExecution(t *testing.T) {
	n := testkit.StartNATS(t)
	ready := boot(t, n)
	g := newRecorder(t)
	stopped := sync.OnceFunc(n.Stop)
	g.before = func(p post) {
		if p.body["step"] == "extract" {
			stopped()
		}
	}
	call(t, http.MethodPost, ready.NoETL+"/api/execute", map[string]any{
		"path": "demo/progress", "workload": map[string]any{"step_ms": 20, "request_id": "r-1", "gateway_url": g.URL},
	}, nil)
	testkit.Eventually(t, "all progress, NATS or not", func() bool { return len(g.got()) == 5 })
	n.Start(t)
	testkit.Eventually(t, "the result", func() bool { return len(g.got()) == 6 })
	lines, _, _ := events(t, n.JetStream(t))
	if diff := cmp.Diff(wantedEvents(), lines); diff != "" {
		t.Error(diff)
	}
}

func TestLoginThroughTheIssuer(t *testing.T) {
	n := testkit.StartNATS(t)
	ready := boot(t, n)
	var tokens struct {
		IDToken     string `json:"id_token"`
		AccessToken string `json:"access_token"`
	}
	status := call(t, http.MethodPost, ready.NoETL+"/oidc/token", url.Values{
		"grant_type": {"password"}, "username": {"demo@example.com"}, "password": {"demo"}, "nonce": {"n"},
	}, &tokens)
	if status != 200 {
		t.Fatal(status)
	}
	var discovery struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	call(t, http.MethodGet, ready.NoETL+"/oidc/.well-known/openid-configuration", nil, &discovery)
	if discovery.Issuer != ready.Issuer {
		t.Errorf("issuer %q, ready says %q", discovery.Issuer, ready.Issuer)
	}
	claims := verify(t, ready.NoETL+"/oidc/jwks.json", tokens.IDToken, "noetl-console", ready.Issuer)
	if claims["email"] != "demo@example.com" || claims["nonce"] != "n" {
		t.Errorf("claims %v", claims)
	}
	verify(t, ready.NoETL+"/oidc/jwks.json", tokens.AccessToken, "urn:noetl:sandbox:api", ready.Issuer)
	var info struct{ Email string }
	if status := call(
		t, http.MethodGet, ready.NoETL+"/oidc/userinfo", nil, &info, "Authorization", "Bearer "+tokens.AccessToken,
	); status != 200 ||
		info.Email != "demo@example.com" {
		t.Errorf("userinfo %d %+v", status, info)
	}

	g := newRecorder(t)
	call(t, http.MethodPost, ready.NoETL+"/api/execute", map[string]any{
		"path": "api_integration/auth0/auth0_login",
		"workload": map[string]any{
			"auth0_token":            tokens.IDToken,
			"session_duration_hours": 8,
			"request_id":             "r-login",
			"gateway_url":            g.URL,
			"callback_subject":       "x",
		},
	}, nil)
	testkit.Eventually(t, "the login callback", func() bool { return len(g.got()) == 1 })
	p := g.got()[0]
	data, _ := p.body["data"].(map[string]any)
	token, _ := data["session_token"].(string)
	if p.path != "callback" || p.body["status"] != "success" || p.body["request_id"] != "r-login" || token == "" {
		t.Fatalf("%+v", p)
	}
	kv, err := n.JetStream(t).KeyValue(t.Context(), "sessions")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), token)
	if err != nil || !strings.Contains(string(entry.Value()), `"user_id":1001`) ||
		!strings.Contains(string(entry.Value()), `"roles":["user"]`) {
		t.Errorf("record %v, %v", entry, err)
	}
}

// verify checks a token as a relying party does, with nothing but the published keys.
func verify(t *testing.T, jwks, token, audience, issuer string) jwt.MapClaims {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, N, E, Alg, Kty string }
	}
	call(t, http.MethodGet, jwks, nil, &set)
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(tok *jwt.Token) (any, error) {
		for _, k := range set.Keys {
			if k.Kid != tok.Header["kid"] || k.Kty != "RSA" {
				continue
			}
			n, nErr := base64.RawURLEncoding.DecodeString(k.N)
			e, eErr := base64.RawURLEncoding.DecodeString(k.E)
			if nErr != nil || eErr != nil {
				return nil, jwt.ErrTokenUnverifiable
			}
			return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(audience), jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestTheDefaultInternalTokenOpensTheListeners(t *testing.T) {
	ready := boot(t, testkit.StartNATS(t))
	var l struct {
		SubscriptionID string `json:"subscription_id"`
		Source         string
		Verify         map[string]string
		Dispatch       map[string]string
	}
	if status := call(
		t, http.MethodGet, ready.NoETL+"/api/internal/ingress/orders", nil, &l, "Authorization",
		"Bearer sandbox-internal-token",
	); status != 200 {
		t.Fatal(status)
	}
	if l.Verify["type"] != "hmac_sha256" || l.Verify["header"] != "X-Signature" ||
		l.Dispatch["playbook"] != "demo/webhook" ||
		l.Source != "webhook" ||
		l.SubscriptionID == "" {
		t.Errorf("%+v", l)
	}
	if status := call(t, http.MethodGet, ready.NoETL+"/api/internal/ingress/orders", nil, nil); status != 403 {
		t.Errorf("without a token: %d", status)
	}
}

func TestStartsWithoutNATS(t *testing.T) {
	n := testkit.StartNATS(t)
	n.Stop()
	ready := boot(t, n)
	var out started
	if status := call(
		t, http.MethodPost, ready.NoETL+"/api/execute", map[string]any{"path": "demo/echo"}, &out,
	); status != 200 {
		t.Fatal(status)
	}
	n.Start(t)
	testkit.Eventually(
		t, "the events", func() bool { lines, _, _ := events(t, n.JetStream(t)); return len(lines) == 4 },
	)
}
