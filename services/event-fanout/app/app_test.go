package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/app"
)

// world is a NATS server, a stand-in for the auth service on its real subjects, and replicas.
type world struct {
	t    testing.TB
	nats *testkit.NATS
	nc   *nats.Conn
	js   jetstream.JetStream
	tel  *telemetry.Telemetry

	mu       sync.Mutex
	sessions map[string]authwire.Session
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	server := testkit.StartNATS(tb)
	w := &world{
		t:        tb,
		nats:     server,
		nc:       server.Connect(tb),
		js:       server.JetStream(tb),
		tel:      telemetry.Nop("test"),
		sessions: map[string]authwire.Session{},
	}
	resolve := func(_ context.Context, in authwire.ResolveRequest) (authwire.Session, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		s, ok := w.sessions[in.SessionToken]
		if !ok {
			return s, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
		}
		return s, nil
	}
	auth := natskit.NewService(w.nc, w.tel, "auth", "test", natskit.Handle(
		kit.Observer{}, authwire.SubjectResolve, "auth.resolve", kit.Limits{Concurrency: 64}, resolve))
	w.start(auth)
	if _, err := w.js.CreateKeyValue(
		tb.Context(),
		jetstream.KeyValueConfig{Bucket: authwire.RevokedBucket},
	); err != nil {
		tb.Fatal(err)
	}
	// As NoETL would, but under another name than it gives its streams: those are its alone to make.
	if _, err := w.js.CreateStream(
		tb.Context(),
		jetstream.StreamConfig{Name: "server", Subjects: []string{"noetl.events.>"}},
	); err != nil {
		tb.Fatal(err)
	}
	return w
}

// start runs components until the test ends, or until stop is called.
func (w *world) start(components ...run.Component) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run.All(ctx, w.tel.Logger, run.DrainTimeout, components...) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("stopping: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) login(user int64, ttl time.Duration) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	token := fmt.Sprintf("token-%d-%d", user, len(w.sessions))
	w.sessions[token] = authwire.Session{
		User:      authwire.User{UserID: user, Email: "u@example.com"},
		ExpiresAt: time.Now().Add(ttl),
	}
	return token
}

type replica struct {
	public, internal string
	stop             func()
	health           *httpkit.Health
	registry         *prometheus.Registry
}

// holds waits until the replica counts so many streams: a stream is counted a moment after its first
// frame was written.
func (r *replica) holds(t *testing.T, streams float64) {
	t.Helper()
	testkit.Eventually(t, "the streams are counted", func() bool {
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "noetl_gateway_streams" {
				return f.GetMetric()[0].GetGauge().GetValue() == streams
			}
		}
		return false
	})
}

// replica starts an event-fanout; extra settings are NAME=value.
func (w *world) replica(settings ...string) *replica {
	w.t.Helper()
	cfg, err := app.Load(
		append([]string{"GATEWAY_PORT=0", "GATEWAY_INTERNAL_PORT=0", "GATEWAY_BIND=127.0.0.1"}, settings...),
	)
	if err != nil {
		w.t.Fatal(err)
	}
	host := w.host()
	health := host.Health
	a, err := app.New(w.t.Context(), cfg, host)
	if err != nil {
		w.t.Fatal(err)
	}
	stop := w.start(append([]run.Component{run.CloseNATS(host.NATS)}, a.Components()...)...)
	testkit.Eventually(w.t, "event-fanout serves", func() bool { return health.Serving(context.Background()) })
	return &replica{
		public:   a.Ready().Public,
		internal: a.Ready().Internal,
		stop:     stop,
		health:   health,
		registry: host.Telemetry.Registry,
	}
}

func (w *world) host() run.Host {
	return run.Host{Telemetry: telemetry.Nop("event-fanout"), NATS: w.nats.Connect(w.t), Health: &httpkit.Health{}}
}

func (w *world) expect(request, client string) {
	w.t.Helper()
	if err := w.tryExpect(request, client, "id:7"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryExpect(request, client, owner string) error {
	_, err := natskit.Call[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](
		w.t.Context(), natskit.NewClient(w.nc, w.tel), "event-fanout", fanoutwire.SubjectExpect,
		fanoutwire.ExpectRequest{RequestID: request, ClientID: client, Owner: owner, PlaybookPath: "demo/echo"},
	)
	return err
}

func (w *world) bind(request, execution string) {
	w.t.Helper()
	if _, err := natskit.Call[fanoutwire.BindRequest, fanoutwire.BindResponse](
		w.t.Context(), natskit.NewClient(w.nc, w.tel), "event-fanout", fanoutwire.SubjectBind,
		fanoutwire.BindRequest{RequestID: request, ExecutionID: execution},
	); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) event(eventType, step string) {
	w.t.Helper()
	payload := fmt.Sprintf(
		`{"event_type":%q,"execution_id":%s,"step_name":%q,"timestamp":"2026-01-02T03:04:05Z"}`, eventType,
		execution, step,
	)
	if _, err := w.js.Publish(
		w.t.Context(), "noetl.events.default.default."+execution+".0", []byte(payload),
	); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) post(url, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(bytes.TrimSpace(answer))
}

const execution = "582940187123449857" // above 2^53: a float would change it

func TestProgressStateAndResultArriveInOrderEachOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	stream := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := stream.ClientID(t)

	w.expect("r1", client)
	w.event("step.exit", "early") // before the request is bound to its execution
	w.bind("r1", execution)
	if code, body := w.post(
		b.internal+"/api/internal/progress",
		`{"request_id":"r1","step":"s1","message":"half","progress":0.5}`,
	); code != 200 ||
		body != `{"status":"sent"}` {
		t.Errorf("progress: %d %s", code, body)
	}
	w.event("call.done", "hidden") // not on the allow-list
	w.event("step.exit", "late")
	for range 2 { // a repeated callback is answered and not sent twice
		if code, body := w.post(
			b.internal+"/api/internal/callback/async",
			`{"request_id":"r1","execution_id":"`+execution+`","data":{"n":12345678901234567890}}`,
		); code != 200 ||
			body != `{"status":"delivered"}` {
			t.Errorf("callback: %d %s", code, body)
		}
	}
	w.event("playbook.completed", "") // the same end, told a second way

	w.expect("r2", client)
	w.bind("r2", "2")
	if code, _ := w.post(
		a.internal+"/api/internal/callback/async",
		`{"request_id":"r2","status":"FAILED","error":{"message":"boom"}}`,
	); code != 200 {
		t.Errorf("failed callback: %d", code)
	}
	got := append(stream.Until(t, "playbook/result"), stream.Until(t, "playbook/result")...)
	want := "[playbook/state playbook/progress playbook/state playbook/state playbook/result playbook/state " +
		"playbook/result]"
	if names := testkit.Names(got); names != want {
		t.Fatalf("frames\n got %s\nwant %s", names, want)
	}
	seen := map[string]bool{}
	for _, e := range got {
		if e.ID == "" || seen[e.ID] {
			t.Errorf("frame without an id of its own: %+v", e)
		}
		seen[e.ID] = true
	}
	if !strings.Contains(got[4].Data, `"data":{"n":12345678901234567890}`) ||
		!strings.Contains(got[4].Data, `"executionId":"`+execution+`"`) {
		t.Errorf("result changed on its way: %s", got[4].Data)
	}
	if !strings.Contains(got[6].Data, `"error":{"code":-32000,"message":"boom"}`) ||
		!strings.Contains(got[6].Data, `"status":"FAILED"`) {
		t.Errorf("failure: %s", got[6].Data)
	}
}

func TestAResultForADisconnectedClientWaitsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	token := w.login(7, time.Hour)
	stream := testkit.OpenEvents(t, a.public, token, nil)
	client := stream.ClientID(t)
	for _, id := range []string{"r1", "r2"} {
		w.expect(id, client)
		w.bind(id, "10"+id[1:])
	}
	w.post(b.internal+"/api/internal/callback/async", `{"request_id":"r1","data":1}`)
	first := stream.Until(t, "playbook/result")
	stream.Close()

	// The peer's close is noticed when the next frame is written, not before: so both answers
	// are right here, and the frame must wait in both.
	code, _ := w.post(b.internal+"/api/internal/callback/async", `{"request_id":"r2","data":2}`)
	if code != 200 && code != 202 {
		t.Fatalf("callback: %d", code)
	}
	// Another replica, only the client id: exactly what was not written.
	again := testkit.OpenEvents(t, b.public, token, url.Values{"client_id": {client}})
	if got := again.ClientID(t); got != client {
		t.Fatalf("reattached as %s, not %s", got, client)
	}
	got := again.Until(t, "playbook/result")
	if testkit.Names(got) != "[playbook/state playbook/result]" || !strings.Contains(got[1].Data, `"requestId":"r2"`) {
		t.Errorf("reattach got %s %v", testkit.Names(got), got)
	}
	again.Close()
	// With a last id: exactly what came after it, again.
	third := testkit.OpenEvents(t, a.public, token, url.Values{"client_id": {client}, "last_event_id": {first[0].ID}})
	third.ClientID(t)
	replay := append(third.Until(t, "playbook/result"), third.Until(t, "playbook/result")...)
	if want := []string{
		first[1].ID, got[0].ID, got[1].ID,
	}; len(replay) != 3 || replay[0].ID != want[0] || replay[1].ID != want[1] ||
		replay[2].ID != want[2] {
		t.Errorf("replay after %s: %v, want ids %v", first[0].ID, replay, want)
	}
	third.Close()
	testkit.Eventually(t, "nobody is connected, so the answer is 202", func() bool {
		w.expect("r3", client)
		code, body := w.post(b.internal+"/api/internal/callback/async", `{"request_id":"r3"}`)
		if code == 200 {
			w.tryAbandon("r3")
			return false
		}
		return code == 202 && body == `{"clientDisconnected":true,"status":"queued"}`
	})
}

func (w *world) tryAbandon(request string) {
	_, _ = natskit.Call[fanoutwire.AbandonRequest, fanoutwire.AbandonResponse](
		w.t.Context(), natskit.NewClient(w.nc, w.tel), "event-fanout", fanoutwire.SubjectAbandon,
		fanoutwire.AbandonRequest{RequestID: request},
	)
}

func TestAnEventWhileNoReplicaRunsIsDeliveredByTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	stream := testkit.OpenEvents(t, a.public, token, nil)
	client := stream.ClientID(t)
	w.expect("r1", client)
	w.bind("r1", execution)
	a.stop()
	w.event("step.exit", "alone")

	b := w.replica()
	again := testkit.OpenEvents(t, b.public, token, url.Values{"client_id": {client}})
	init := again.Next(t)
	if !strings.Contains(
		init.Data,
		`"pendingRequests":[{"requestId":"r1","executionId":"`+execution+`","playbookPath":"demo/echo"}]`,
	) {
		t.Errorf("init does not list the pending request: %s", init.Data)
	}
	first := again.Next(t)
	w.event("playbook.failed", "")
	second := again.Next(t)
	if !strings.Contains(first.Data, `"step_name":"alone"`) ||
		!strings.Contains(second.Data, `"event_type":"playbook.failed","step_name":null,"status":"failed"`) {
		t.Errorf("got %s then %s", first.Data, second.Data)
	}
}

func TestARevokedOrExpiredSessionEndsItsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	stream := testkit.OpenEvents(t, a.public, token, nil)
	stream.ClientID(t)
	short := testkit.OpenEvents(t, a.public, w.login(7, 300*time.Millisecond), nil)
	short.ClientID(t)

	kv, err := w.js.KeyValue(t.Context(), authwire.RevokedBucket)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := kv.Put(t.Context(), authwire.NewToken(token).Key().String(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if e := stream.Next(t); e.Name != "session/expired" || !strings.Contains(e.Data, `"reason":"revoked"`) {
		t.Errorf("got %+v", e)
	}
	if e := stream.Next(t); e.Error == nil {
		t.Errorf("the stream went on: %+v", e)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("revocation took %v", took)
	}
	if e := short.Next(t); e.Name != "session/expired" || !strings.Contains(e.Data, `"reason":"expired"`) {
		t.Errorf("got %+v", e)
	}
	if _, status, _ := testkit.DialEvents(t, a.public, token, nil); status != http.StatusUnauthorized {
		t.Errorf("a revoked token opened a stream: %d", status)
	}
}

func TestStreamsOutliveARestartOfNATS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	stream := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := stream.ClientID(t)
	w.expect("r1", client)
	w.bind("r1", execution)
	w.nats.Stop()
	if code, body := w.post(a.internal+"/api/internal/callback/async", `{"request_id":"r1"}`); code != 503 ||
		!strings.Contains(body, `"error"`) {
		t.Errorf("callback during the outage: %d %s", code, body)
	}
	w.nats.Start(t)
	testkit.Eventually(t, "the callback is taken again", func() bool {
		code, _ := w.post(a.internal+"/api/internal/callback/async", `{"request_id":"r1","data":{"ok":true}}`)
		return code == 200
	})
	if got := testkit.Names(stream.Until(t, "playbook/result")); got != "[playbook/state playbook/result]" {
		t.Errorf("got %s", got)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	mine := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := mine.ClientID(t)

	if err := w.tryExpect("r1", client, "id:8"); fault.Of(err).Kind != fault.Denied {
		t.Errorf("another user's client was accepted: %v", err)
	}
	if err := w.tryExpect("r1", "never-seen", "id:7"); fault.Of(err).Kind != fault.Invalid {
		t.Errorf("an unknown client was accepted: %v", err)
	}
	if _, status, _ := testkit.DialEvents(
		t, a.public, w.login(8, time.Hour), url.Values{"client_id": {"a.b*>"}},
	); status != http.StatusBadRequest {
		t.Errorf("a client id that is no token: %d", status)
	}
	if _, status, _ := testkit.DialEvents(t, a.public, "no-session", nil); status != http.StatusUnauthorized {
		t.Errorf("no session: %d", status)
	}
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"unknown request":  {"/api/internal/callback/async", `{"request_id":"nobody"}`, 404},
		"unknown progress": {"/api/internal/progress", `{"request_id":"nobody"}`, 404},
		"no JSON":          {"/api/internal/callback/async", `{`, 400},
		"wrong type":       {"/api/internal/progress", `{"request_id":5}`, 400},
		"wildcard id":      {"/api/internal/callback", `{"request_id":"*"}`, 400},
		"progress of none": {"/api/internal/progress", `{"request_id":"r","progress":2}`, 404},
		"float execution":  {"/api/internal/callback/async", `{"request_id":"r","execution_id":1.5}`, 400},
		"a large id": {
			"/api/internal/callback/async", `{"request_id":"` + strings.Repeat("x", 3<<20) + `"}`, 413,
		},
		"large, unknown": {
			"/api/internal/callback/async", `{"data":"` + strings.Repeat("x", 3<<20) + `","request_id":"nobody"}`,
			404,
		},
		"large, no JSON": {"/api/internal/callback/async", `{"data":"` + strings.Repeat("x", 3<<20) + `"`, 400},
		"large, nobody": {
			"/api/internal/callback", `{"data":"` + strings.Repeat("x", 3<<20) + `","request_id":"nobody"}`, 413,
		},
		"a slash at its end": {"/api/internal/progress/", `{"request_id":"nobody"}`, 404},
		"nobody waits":       {"/api/internal/callback", `{"request_id":"nobody"}`, 200},
		"no route":           {"/api/internal/else", `{}`, 404},
		"error as a string":  {"/api/internal/callback/async", `{"request_id":"nobody","error":"boom"}`, 404},
	} {
		code, body := w.post(a.internal+c.path, c.body)
		if code != c.want || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s, want %d", name, code, body, c.want)
		}
	}
}
