package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// graphqlSocket opens a WebSocket of GraphQL on which a subscription runs.
func (w *world) graphqlSocket(token string) *websocket.Conn {
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
		{`{"id":"1","type":"subscribe","payload":{"query":"subscription{frames{method}}"}}`, ""},
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
