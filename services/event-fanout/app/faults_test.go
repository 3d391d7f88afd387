package app_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
)

// Fault 3: any user may attach to another user's client_id, or send results to it.
func TestFault3NobodyUsesAnothersClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	mine := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := mine.ClientID(t)
	thief := w.login(8, time.Hour)
	s := testkit.OpenEvents(t, a.public, thief, url.Values{"client_id": {client}})
	thiefs := s.ClientID(t)
	if thiefs == client {
		t.Error("attached over SSE")
	}
	conn, status := w.wsDial(a.public, "client_id="+client, thief)
	if status != http.StatusSwitchingProtocols {
		t.Fatal(status)
	}
	if first := w.wsUntil(conn, "clientId"); clientOf(t, first[0]) == client {
		t.Error("attached over a WebSocket")
	}
	w.expect("r0", client)
	w.bind("r0", execution)
	if c, body := w.post(
		a.internal+"/api/internal/callback/async",
		`{"request_id":"r0","data":"mine"}`,
	); c != http.StatusOK {
		t.Fatal(c, body)
	}
	if got := mine.Next(t); !strings.Contains(got.Data, "playbook.completed") {
		t.Errorf("the owner got %+v", got)
	}
	// What the thief gets next is its own: a frame of the other's would have come before it.
	if err := w.tryExpect("own", thiefs, "id:8"); err != nil {
		t.Fatal(err)
	}
	w.bind("own", "78")
	if c, body := w.post(
		a.internal+"/api/internal/callback/async",
		`{"request_id":"own","data":"own"}`,
	); c != http.StatusOK {
		t.Fatal(c, body)
	}
	for _, want := range []string{"playbook.completed", `"requestId":"own"`} {
		if e := s.Next(t); !strings.Contains(e.Data, want) || strings.Contains(e.Data, execution) {
			t.Errorf("another user got %+v", e)
		}
	}
	if err := w.tryExpect("r1", client, "id:8"); fault.Of(err) == nil || fault.Of(err).Kind != fault.Denied {
		t.Errorf("a result may be sent to it: %v", err)
	}
	testkit.OpenEvents(t, a.public, w.login(7, time.Hour), url.Values{"client_id": {client}}).
		ClientID(t)
	// its owner may, with another session
}

// Fault 4: a result for a disconnected client is answered "queued" and dropped; a restart loses
// every event in the gap.
func TestFault4WhatIsQueuedOutlivesEveryReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	s := testkit.OpenEvents(t, a.public, token, nil)
	client := s.ClientID(t)
	w.expect("r1", client)
	w.bind("r1", execution)
	s.Close()
	code := 0
	testkit.Eventually(t, "the answer is queued", func() bool { // once the disconnect was noticed
		w.expect("probe"+strconv.Itoa(code), client)
		c, _ := w.post(a.internal+"/api/internal/callback/async", `{"request_id":"probe`+strconv.Itoa(code)+`"}`)
		code++
		return c == http.StatusAccepted
	})
	if c, body := w.post(
		a.internal+"/api/internal/callback/async",
		`{"request_id":"r1","data":{"kept":true}}`,
	); c != http.StatusAccepted ||
		body != `{"clientDisconnected":true,"status":"queued"}` {
		t.Fatal(c, body)
	}
	a.stop()
	b := w.replica()
	again := testkit.OpenEvents(t, b.public, token, url.Values{"client_id": {client}})
	for {
		e := again.Next(t)
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		if strings.Contains(e.Data, `"data":{"kept":true}`) {
			return
		}
	}
}

// Fault 5: playbook.completed that beats the request's registration is dropped: the page hangs.
func TestFault5ACompletionThatBeatsTheRegistrationArrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	s := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := s.ClientID(t)
	w.expect("r1", client)
	w.event("step.exit", "first")
	w.event("playbook.completed", "")
	// An event of another execution, routed after them, proves that both were seen and nobody
	// was known to wait.
	w.expect("r0", client)
	w.bind("r0", "77")
	if _, err := w.js.Publish(
		t.Context(), "noetl.events.default.default.77.0", []byte(`{"event_type":"step.exit","step":"marker"}`),
	); err != nil {
		t.Fatal(err)
	}
	if e := s.Next(t); !strings.Contains(e.Data, "marker") {
		t.Fatalf("%+v", e)
	}
	w.bind("r1", execution)
	for _, want := range []string{`"step_name":"first"`, `"event_type":"playbook.completed"`} {
		if e := s.Next(t); !strings.Contains(e.Data, want) {
			t.Errorf("got %+v, want %s", e, want)
		}
	}
}

// Fault 6: two replicas do not work: callbacks and connections live in one process's memory.
func TestFault6EveryCallReachesEveryReplicasStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	token := w.login(7, time.Hour)
	sse := testkit.OpenEvents(t, a.public, token, nil)
	client := sse.ClientID(t)
	ws, _ := w.wsDial(b.public, "client_id="+client, token) // the same client, a second stream
	w.wsUntil(ws, `"clientId"`)
	w.expect("r1", client)
	w.bind("r1", execution)
	for i, r := range []*replica{a, b} {
		step := "s" + strconv.Itoa(i)
		if code, body := w.post(
			r.internal+"/api/internal/progress",
			`{"request_id":"r1","step":"`+step+`","progress":"0.5"}`,
		); code != 200 ||
			body != `{"status":"sent"}` {
			t.Fatal(code, body)
		}
		if e := sse.Next(t); !strings.Contains(e.Data, step) {
			t.Errorf("%+v", e)
		}
		w.wsUntil(ws, step, `"progress":0.5`)
	}
	if code, _ := w.post(b.internal+"/api/internal/callback/async", `{"request_id":"r1"}`); code != 200 {
		t.Error(code)
	}
	sse.Until(t, "playbook/result")
	w.wsUntil(ws, "playbook/result")
}

// Fault 9: callback routes are public and unauthenticated.
func TestFault9CallbackRoutesAreNotPublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_INTERNAL_TOKEN=worker-secret")
	for _, path := range []string{"/api/internal/callback", "/api/internal/callback/async", "/api/internal/progress"} {
		if code, _ := w.post(a.public+path, `{"request_id":"x"}`); code != http.StatusNotFound {
			t.Errorf("%s on the public listener: %d", path, code)
		}
		if code, _ := w.post(a.internal+path, `{"request_id":"x"}`); code != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d", path, code)
		}
	}
	req, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, a.internal+"/api/internal/progress", strings.NewReader(`{"request_id":"x"}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer worker-secret")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusNotFound { // it came through: no such request
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	if host, _, err := net.SplitHostPort(strings.TrimPrefix(a.internal, "http://")); err != nil || host != "127.0.0.1" {
		t.Errorf("by default workers' listener is at %s", host)
	}
}

// Fault 10: everything is buffered; unbounded queues per client.
func TestFault10AClientThatDoesNotReadIsCutOffWithItsPlaceKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica(
		"GATEWAY_STREAM_WRITE_TIMEOUT_SECS=1", "GATEWAY_STREAM_QUEUE_FRAMES=4", "GATEWAY_STREAM_QUEUE_BYTES=65536",
	)
	token := w.login(7, time.Hour)
	probe := testkit.OpenEvents(t, a.public, token, nil)
	client := probe.ClientID(t)
	probe.Close()

	stalled, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.public, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stalled.Close() }()
	if tcp, ok := stalled.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	if _, err := io.WriteString(
		stalled,
		"GET /events?client_id="+client+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\n\r\n",
	); err != nil {
		t.Fatal(err)
	}
	other := testkit.OpenEvents(t, a.public, w.login(9, time.Hour), nil)
	otherClient := other.ClientID(t)
	w.expect("r1", client)
	if err := w.tryExpect("r2", otherClient, "id:9"); err != nil {
		t.Fatal(err)
	}
	const frames = 40 // 20 MB, more than the sockets take
	pad := strings.Repeat("x", 500<<10)
	for i := range frames {
		if code, body := w.post(
			a.internal+"/api/internal/progress",
			`{"request_id":"r1","step":"n`+strconv.Itoa(i)+`","message":"`+pad+`"}`,
		); code != 200 {
			t.Fatal(code, body)
		}
	}
	if code, _ := w.post(a.internal+"/api/internal/progress", `{"request_id":"r2","step":"not held up"}`); code != 200 {
		t.Fatal(code)
	}
	if e := other.Next(t); !strings.Contains(e.Data, "not held up") {
		t.Error(e)
	}
	tries := 0
	testkit.Eventually(t, "the stalled client was cut off", func() bool {
		tries++
		request := "probe" + strconv.Itoa(tries)
		w.expect(request, client)
		code, _ := w.post(a.internal+"/api/internal/callback/async", `{"request_id":"`+request+`"}`)
		return code == http.StatusAccepted // nobody is connected
	})
	again := testkit.OpenEvents(t, a.public, token, url.Values{"client_id": {client}}) // only what was not yet written
	again.ClientID(t)
	next := -1
	for next < frames {
		e := again.Next(t)
		if e.Error != nil {
			t.Fatal(e.Error, next)
		}
		_, rest, found := strings.Cut(e.Data, `"step":"n`)
		if !found {
			continue
		}
		number, _, _ := strings.Cut(rest, `"`)
		n, err := strconv.Atoi(number)
		if err != nil || (next >= 0 && n != next) {
			t.Fatalf("frame %s came where %d was due", number, next)
		}
		next = n + 1
	}
}
