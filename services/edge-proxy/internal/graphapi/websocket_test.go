package graphapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/testkit"
)

// socket speaks graphql-transport-ws to a door.
type socket struct {
	t *testing.T
	*websocket.Conn
}

// dial returns the socket, or the status that refused it.
func dial(t *testing.T, d *door, header http.Header, protocols ...string) (*socket, int) {
	t.Helper()
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	dialer := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: 5 * time.Second}
	conn, resp, err := dialer.DialContext(t.Context(), strings.Replace(srv.URL, "http", "ws", 1)+"/graphql", header)
	if err != nil {
		if resp == nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return nil, resp.StatusCode
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	return &socket{t, conn}, http.StatusSwitchingProtocols
}

func (s *socket) send(text string) {
	s.t.Helper()
	if err := s.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

type wsMessage struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

func (s *socket) next() wsMessage {
	s.t.Helper()
	var m wsMessage
	if err := s.ReadJSON(&m); err != nil {
		s.t.Fatal(err)
	}
	return m
}

const (
	protocol      = "graphql-transport-ws"
	maxPerAddress = 5
)

func TestSubscribingToFrames(t *testing.T) {
	t.Parallel()
	s, status := dial(t, newDoor(), http.Header{"Origin": {"https://app.example.com"}}, protocol)
	if s == nil {
		t.Fatal(status)
	}
	s.send(`{"type":"connection_init","payload":{"Authorization":"Bearer secret-token"}}`)
	if m := s.next(); m.Type != "connection_ack" {
		t.Fatalf("%+v", m)
	}
	s.send(`{"id":"a","type":"subscribe","payload":{"query":"subscription($last:String){frames(lastEventId:$last){id method params}}","variables":{"last":"e-0"}}}`)
	want := []string{
		`{"data":{"frames":{"id":null,"method":"initialized","params":{"after":"e-0","clientId":"c1"}}}}`,
		`{"data":{"frames":{"id":"e-1","method":"playbook/progress","params":{"progress":0.5}}}}`,
		`{"data":{"frames":{"id":"e-2","method":"playbook/result","params":{"executionId":582940187123449857}}}}`,
	}
	for _, w := range want {
		if m := s.next(); m.Type != "next" || m.ID != "a" || string(m.Payload) != w {
			t.Errorf("%s %s %s, want %s", m.Type, m.ID, m.Payload, w)
		}
	}
	if m := s.next(); m.Type != "complete" || m.ID != "a" {
		t.Errorf("%+v", m)
	}
	// A query goes over the same connection, and another's client does not.
	s.send(`{"id":"b","type":"subscribe","payload":{"query":"{version}"}}`)
	if m := s.next(); m.Type != "next" || !strings.Contains(string(m.Payload), "v1.2.3") {
		t.Errorf("%+v", m)
	}
	s.next() // complete
	s.send(`{"id":"c","type":"subscribe","payload":{"query":"subscription{frames(clientId:\"foreign\"){id}}"}}`)
	if m := s.next(); m.ID != "c" || !strings.Contains(string(m.Payload), "FORBIDDEN") {
		t.Errorf("%s %s", m.Type, m.Payload)
	}
}

func TestWebSocketsThatAreRefused(t *testing.T) {
	t.Parallel()
	if _, status := dial(t, newDoor(), http.Header{"Origin": {"https://evil.example.com"}}, protocol); status != http.StatusForbidden {
		t.Errorf("another origin: %d", status)
	}
	for _, protocols := range [][]string{nil, {"graphql-ws"}} {
		if _, status := dial(t, newDoor(), nil, protocols...); status != http.StatusBadRequest {
			t.Errorf("%v: %d", protocols, status)
		}
	}
	for _, begin := range []string{`{"type":"connection_init","payload":[]}`, `{"type":"connection_init","payload":"x"}`, `[]`, `{"type":"connection_init"}`, `{"type":"connection_init","payload":{"Authorization":"Bearer wrong"}}`, `{"id":"1","type":"subscribe","payload":{"query":"{version}"}}`} {
		s, status := dial(t, newDoor(), nil, protocol)
		if s == nil {
			t.Fatal(status)
		}
		s.send(begin)
		for {
			_, text, err := s.ReadMessage()
			if err != nil {
				if refused := strings.HasSuffix(begin, "init\"}") || strings.Contains(begin, "wrong"); refused && !websocket.IsCloseError(err, 4403) {
					t.Errorf("%s: closed with %v", begin, err)
				}
				break
			}
			if strings.Contains(string(text), "connection_ack") || strings.Contains(string(text), "v1.2.3") {
				t.Fatalf("%s was answered with %s", begin, text)
			}
		}
	}
}

func TestAWebSocketThatSendsTooMuchIsClosed(t *testing.T) {
	t.Parallel()
	s, status := dial(t, newDoor(), nil, protocol)
	if s == nil {
		t.Fatal(status)
	}
	huge := `{"type":"connection_init","payload":{"x":"` + strings.Repeat("x", 9<<20) + `"}}`
	_ = s.WriteMessage(websocket.TextMessage, []byte(huge)) // may fail already: the other side closes
	if _, text, err := s.ReadMessage(); err == nil {
		t.Errorf("answered with %.100s", text)
	}
}

func TestSocketsOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newDoor())
	t.Cleanup(srv.Close)
	dialer := websocket.Dialer{Subprotocols: []string{protocol}, HandshakeTimeout: 5 * time.Second}
	open := func() (*websocket.Conn, int) {
		conn, resp, err := dialer.DialContext(t.Context(), strings.Replace(srv.URL, "http", "ws", 1), nil)
		if err != nil {
			if resp == nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return nil, resp.StatusCode
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn, http.StatusSwitchingProtocols
	}
	var first *websocket.Conn
	opened := 0
	for range maxPerAddress + 5 {
		conn, status := open()
		if conn == nil {
			if status != http.StatusTooManyRequests {
				t.Fatal(status)
			}
			break
		}
		if opened++; first == nil {
			first = conn
		}
	}
	if opened != maxPerAddress {
		t.Errorf("%d were opened", opened)
	}
	_ = first.Close()
	testkit.Eventually(t, "one that closed makes room", func() bool { conn, _ := open(); return conn != nil })
}
