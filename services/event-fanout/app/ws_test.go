package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/app"
)

// edge runs an edge-proxy that registers the request and starts execution 582940187123449857.
func (w *world) edge() {
	w.t.Helper()
	execute := func(ctx context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error) {
		//nolint:contextcheck // the helper has the test's
		if err := w.tryExpect("req-"+in.Name, in.ClientID, "id:7"); err != nil {
			return edgewire.ExecuteResponse{}, err
		}
		_, err := natskit.Call[fanoutwire.BindRequest, fanoutwire.BindResponse](
			ctx, natskit.NewClient(w.nc, w.tel), "event-fanout", fanoutwire.SubjectBind,
			fanoutwire.BindRequest{RequestID: "req-" + in.Name, ExecutionID: execution},
		)
		return edgewire.ExecuteResponse{RequestID: "req-" + in.Name, ExecutionID: execution, Status: "started"}, err
	}
	w.start(natskit.NewService(w.nc, w.tel, "edge-proxy", "test", natskit.Handle(
		kit.Observer{}, edgewire.SubjectExecute, "edge.execute", kit.Limits{Concurrency: 64}, execute)))
}

// wsDial opens GET base/ws.
func (w *world) wsDial(base, query, token string) (*websocket.Conn, int) {
	w.t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Cookie", "session_token="+token)
	}
	c, resp, err := websocket.DefaultDialer.DialContext(
		w.t.Context(), "ws"+strings.TrimPrefix(base, "http")+"/ws?"+query, header,
	)
	if err != nil {
		if resp == nil {
			w.t.Fatal(err)
		}
		return nil, resp.StatusCode
	}
	_ = resp.Body.Close()
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	return c, resp.StatusCode
}

// wsUntil reads messages, pings left out, up to the first that has all the words.
func (w *world) wsUntil(c *websocket.Conn, words ...string) (messages []string) {
	w.t.Helper()
	for {
		_, body, err := c.ReadMessage()
		if err != nil {
			w.t.Fatalf("%v after %q", err, messages)
		}
		text := string(body)
		if strings.Contains(text, `"method":"ping"`) {
			continue
		}
		messages = append(messages, text)
		found := true
		for _, word := range words {
			found = found && strings.Contains(text, word)
		}
		if found {
			return messages
		}
	}
}

func TestAWebSocketExecutesAndGetsTheResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	w.edge()
	target, err := url.Parse(a.public)
	if err != nil {
		t.Fatal(err)
	}
	// As edge-proxy forwards to a split event-fanout.
	proxy := httptest.NewServer(
		&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() }},
	)
	t.Cleanup(proxy.Close)
	for name, base := range map[string]string{"direct": a.public, "proxied": proxy.URL} {
		c, status := w.wsDial(base, "", w.login(7, time.Hour))
		if status != http.StatusSwitchingProtocols {
			t.Fatal(name, status)
		}
		w.wsUntil(c, `"clientId"`)
		if err := c.WriteMessage(
			websocket.TextMessage,
			[]byte(`{"jsonrpc":"2.0","id":1,"method":"playbook/execute","params":{"name":"`+name+`"}}`),
		); err != nil {
			t.Fatal(err)
		}
		w.wsUntil(
			c,
			`{"jsonrpc":"2.0","id":1,"result":{"requestId":"req-`+name+`","executionId":"`+execution+`","status":"started"}}`,
		)
		if code, body := w.post(
			a.internal+"/api/internal/callback/async",
			`{"request_id":"req-`+name+`","data":{"n":12345678901234567890}}`,
		); code != 200 {
			t.Fatal(code, body)
		}
		got := w.wsUntil(c, "playbook/result", `"_meta":{"eventId":"`, `"data":{"n":12345678901234567890}`)
		if !strings.Contains(got[0], `"method":"playbook/state"`) {
			t.Error(got)
		}
	}
}

// Standalone mounts the handler behind edge-proxy's middleware in the same process.
func TestAWebSocketBehindTheEdgesOwnMiddleware(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg, err := app.Load([]string{"GATEWAY_INTERNAL_PORT=0"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, w.host(), app.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	w.start(a.Components()...)
	srv := httptest.NewServer(httpkit.Edge(telemetry.Nop("edge"), a.Public()))
	t.Cleanup(srv.Close)
	c, status := w.wsDial(srv.URL, "", w.login(7, time.Hour))
	if status != http.StatusSwitchingProtocols {
		t.Fatal(status)
	}
	w.wsUntil(c, `"clientId"`)
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	w.wsUntil(c, `"result":"pong"`)
}

func TestAWebSocketResumesOnAnotherReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	token := w.login(7, time.Hour)
	c, _ := w.wsDial(a.public, "", token)
	var init struct {
		Result struct {
			ClientID string `json:"clientId"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(w.wsUntil(c, `"clientId"`)[0]), &init); err != nil {
		t.Fatal(err)
	}
	client := init.Result.ClientID
	w.expect("r1", client)
	w.bind("r1", execution)
	w.event("step.exit", "one")
	first := w.wsUntil(c, `"step_name":"one"`)[0]
	_, rest, _ := strings.Cut(first, `"eventId":"`)
	last, _, _ := strings.Cut(rest, `"`)
	w.event("step.exit", "two")
	w.wsUntil(c, `"step_name":"two"`)
	a.stop()
	var closed *websocket.CloseError
	if _, _, err := c.ReadMessage(); !errors.As(err, &closed) || closed.Code != websocket.CloseServiceRestart {
		t.Errorf("the stop was told as %v", err)
	}
	w.event("step.exit", "three")
	again, status := w.wsDial(b.public, url.Values{"client_id": {client}, "last_event_id": {last}}.Encode(), token)
	if status != http.StatusSwitchingProtocols {
		t.Fatal(status)
	}
	got := w.wsUntil(again, `"step_name":"three"`)
	if len(got) != 3 || !strings.Contains(got[0], `"pendingRequests":[{"requestId":"r1"`) ||
		!strings.Contains(got[1], `"step_name":"two"`) {
		t.Errorf("after %s: %v", last, got)
	}
}

func TestARevokedSessionClosesItsWebSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	c, _ := w.wsDial(a.public, "", token)
	kv, err := w.js.KeyValue(t.Context(), authwire.RevokedBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), authwire.NewToken(token).Key().String(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	w.wsUntil(c, "session/expired", `"reason":"revoked"`)
	var closed *websocket.CloseError
	if _, _, err := c.ReadMessage(); !errors.As(err, &closed) || closed.Code != 4401 {
		t.Error(err)
	}
}

func TestTransportsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_WS_ENABLED=false", "GATEWAY_SSE_ENABLED=false")
	if _, status := w.wsDial(a.public, "", w.login(7, time.Hour)); status != http.StatusNotFound {
		t.Error(status)
	}
	if status, _ := w.get(a.public+"/events", nil); status != http.StatusNotFound {
		t.Error(status)
	}
}

// A heartbeat is one message: a client that was heard of lately is not asked for a pong as well.
func TestAHeartbeatOfAWebSocketIsOneMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_HEARTBEAT_INTERVAL_SECS=1")
	for name, quiet := range map[string]bool{"heard of lately": false, "quiet for long": true} {
		b := a
		if quiet { // the shortest time that a peer may be silent is that of two heartbeats
			b = w.replica("GATEWAY_HEARTBEAT_INTERVAL_SECS=1", "GATEWAY_CONNECTION_TIMEOUT_SECS=2")
		}
		conn, code := w.wsDial(b.public, "session_token="+w.login(7, time.Hour), "")
		if conn == nil {
			t.Fatal(code)
		}
		asked := 0
		answer := conn.PingHandler()
		conn.SetPingHandler(func(data string) error { asked++; return answer(data) })
		for heartbeats := 0; heartbeats < 3; { // the first of them comes with the opening
			_, body, err := conn.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(body), `"method":"ping"`) {
				heartbeats++
			}
		}
		if (asked > 0) != quiet {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}
