package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/testkit"
)

// graphqlSocket opens a WebSocket of GraphQL on which a subscription runs.
func (w *world) graphqlSocket(token string) *websocket.Conn {
	w.t.Helper()
	return w.graphqlSocketWith(token, "subscription{frames{method}}")
}

func (w *world) graphqlSocketWith(token, query string) *websocket.Conn {
	t := w.t
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: 5 * time.Second}
	conn, resp, err := dialer.DialContext(t.Context(), strings.Replace(w.url, "http", "ws", 1)+"/graphql", nil)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
			t.Error(resp.Status)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for _, step := range []struct{ send, want string }{
		{`{"type":"connection_init","payload":{"session_token":"` + token + `"}}`, `{"type":"connection_ack"}`},
		{`{"id":"1","type":"subscribe","payload":{"query":` + strconv.Quote(query) + `}}`, ""},
		{`{"type":"ping"}`, `{"type":"pong"}`},
	} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(step.send)); err != nil {
			t.Fatal(err)
		}
		if step.want == "" {
			continue
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != step.want {
			t.Fatalf("%s: %s %v", step.send, got, err)
		}
	}
	return conn
}

func TestAGraphQLSocketEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	conn := w.graphqlSocket(token)
	kv, err := w.js.KeyValue(t.Context(), authwire.RevokedBucket)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got := w.send("POST", "/api/auth/logout", "", "Authorization", "Bearer "+token); got.status != 204 {
		t.Fatal(got)
	}
	if _, err := kv.PutString(t.Context(), authwire.NewToken(token).Key().String(), "{}"); err != nil { // as auth does
		t.Fatal(err)
	}
	if _, text, err := conn.ReadMessage(); !websocket.IsCloseError(err, 4403) {
		t.Errorf("%s %v", text, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestADrainEndsGraphQLSockets(t *testing.T) {
	t.Parallel()
	w := boot(t)
	conn := w.graphqlSocket(w.auth.Add(authwire.User{UserID: 7}))
	stopped := make(chan struct{})
	began := time.Now()
	go func() { defer close(stopped); w.stop() }()
	if _, text, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("%s %v", text, err)
	}
	<-stopped
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// A subscription of GraphQL is one of event-fanout: asked for over NATS, for the client of a stream that is read over
// HTTP, and closed with its socket.
func TestASubscriptionOfGraphQLIsOneOfEventFanout(t *testing.T) {
	t.Parallel()
	change := make(chan struct{})
	fanout := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(rw, "id: e-0\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"clientId\":\"c1\"}}\n\n")
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-change:
		case <-r.Context().Done():
		}
		_, _ = fmt.Fprint(rw, "id: e-1\nevent: subscription/event\ndata: {\"method\":\"subscription/event\","+
			"\"params\":{\"subscription_id\":\"s-1\",\"doc_id\":\"a\",\"op\":\"added\",\"data\":{\"n\":9007199254740993}}}\n\n")
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(fanout.Close)
	w := boot(t, "GATEWAY_EVENTS_URL="+fanout.URL)
	token := w.auth.Add(authwire.User{UserID: 7})
	conn := w.graphqlSocketWith(token, `subscription{documents(source:"kv",path:"chat_threads/42/board"){docId data}}`)
	testkit.Eventually(t, "it is open", func() bool { return len(w.subs.Open.All()) == 1 })
	if got := w.subs.Open.All()["s-1"]; got.SessionToken != token || got.ClientID != "c1" || got.Source != "kv" {
		t.Errorf("asked for %+v", got)
	}
	close(change)
	want := `{"id":"1","type":"next","payload":{"data":{"documents":{"docId":"a","data":{"n":9007199254740993}}}}}`
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
	_ = conn.Close()
	testkit.Eventually(t, "it is closed with its socket", func() bool { return len(w.subs.Closed.All()) == 1 })
}
