package graphql_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

const (
	protocol = "graphql-transport-ws"
	initText = `{"type":"connection_init","payload":{"Authorization":"Bearer secret-token"}}`
)

// limits changes the limits of a socket.
func limits(change func(*graphql.SocketLimits)) func(*graphql.Deps) {
	return func(d *graphql.Deps) { change(&d.WebSocket.Limits) }
}

// frames changes where subscriptions get theirs.
func frames(source func(context.Context, edge.FramesRequest) (<-chan edge.Frame, error)) func(*graphql.Deps) {
	return func(d *graphql.Deps) { d.Subscribe = source }
}

// until sends one frame and none after it, until the subscription ends; then it sends on ended, which
// may be nil.
func until(ended chan<- struct{}) func(context.Context, edge.FramesRequest) (<-chan edge.Frame, error) {
	return func(ctx context.Context, _ edge.FramesRequest) (<-chan edge.Frame, error) {
		out := make(chan edge.Frame, 1)
		out <- edge.Frame{Method: "ping"}
		go func() {
			<-ctx.Done()
			close(out)
			if ended != nil {
				ended <- struct{}{}
			}
		}()
		return out, nil
	}
}

// serve serves an api until the test ends.
func serve(tb testing.TB, a *api) string {
	tb.Helper()
	srv := httptest.NewServer(a)
	tb.Cleanup(srv.Close)
	return strings.Replace(srv.URL, "http", "ws", 1) + "/graphql"
}

// socket speaks graphql-transport-ws.
type socket struct {
	t *testing.T
	*websocket.Conn
}

// refusal is the answer to a handshake that failed.
type refusal struct {
	status      int
	retry       string
	Error, Code string
}

// dial returns a socket, or nil and why there is none.
func dial(t *testing.T, url string, header http.Header, protocols ...string) (*socket, refusal) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: 5 * time.Second}
	conn, resp, err := dialer.DialContext(t.Context(), url, header)
	if err != nil {
		if resp == nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		why := refusal{status: resp.StatusCode, retry: resp.Header.Get("Retry-After")}
		if err := json.NewDecoder(resp.Body).Decode(&why); err != nil {
			t.Error(err)
		}
		return nil, why
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	return &socket{t, conn}, refusal{}
}

// open returns a socket on which nothing was sent.
func open(t *testing.T, a *api) *socket {
	t.Helper()
	s, why := dial(t, serve(t, a), nil, protocol)
	if s == nil {
		t.Fatal(why)
	}
	return s
}

// begin returns a socket that was acknowledged.
func begin(t *testing.T, a *api) *socket {
	t.Helper()
	s := open(t, a)
	s.send(initText)
	s.want(`{"type":"connection_ack"}`)
	return s
}

func (s *socket) send(text string) {
	s.t.Helper()
	if err := s.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// subscribe sends a query.
func (s *socket) subscribe(id, query string) {
	s.t.Helper()
	payload := map[string]string{"query": query}
	body, err := json.Marshal(map[string]any{"id": id, "type": "subscribe", "payload": payload})
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(string(body))
}

// next returns the next message as it came.
func (s *socket) next() string {
	s.t.Helper()
	kind, text, err := s.ReadMessage()
	if err != nil {
		s.t.Fatal(err)
	}
	if kind != websocket.TextMessage {
		s.t.Fatalf("a message of type %d: %q", kind, text)
	}
	return string(text)
}

// want fails unless these messages come next.
func (s *socket) want(messages ...string) {
	s.t.Helper()
	for _, want := range messages {
		if got := s.next(); got != want {
			s.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// answers fails unless the socket answers a query.
func (s *socket) answers(id string) {
	s.t.Helper()
	s.subscribe(id, "{health}")
	s.want(`{"id":"`+id+`","type":"next","payload":{"data":{"health":"ok"}}}`, `{"id":"`+id+`","type":"complete"}`)
}

// closed returns what the socket is closed with, and fails when a message comes first.
func (s *socket) closed() (code int, reason string) {
	s.t.Helper()
	_, text, err := s.ReadMessage()
	if err == nil {
		s.t.Fatalf("not closed: %s", text)
	}
	why, ok := errors.AsType[*websocket.CloseError](err)
	if !ok {
		s.t.Fatalf("ended without a close frame: %v", err)
	}
	return why.Code, why.Text
}

// closedWith fails unless the socket is closed with a code.
func (s *socket) closedWith(wantCode int, wantReason string) {
	s.t.Helper()
	if code, reason := s.closed(); code != wantCode || reason != wantReason {
		s.t.Errorf("closed with %d %q, want %d %q", code, reason, wantCode, wantReason)
	}
}

func TestSubscribingToFrames(t *testing.T) {
	t.Parallel()
	listed := http.Header{"Origin": {"https://app.example.com"}}
	s, why := dial(t, serve(t, newAPI()), listed, "graphql-ws", protocol)
	if s == nil || s.Subprotocol() != protocol {
		t.Fatal(why)
	}
	s.send(initText)
	s.want(`{"type":"connection_ack"}`)
	s.send(`{"id":"a","type":"subscribe","payload":{"query":"subscription($last:String){frames(lastEventId:$last)` +
		`{id method params}}","variables":{"last":"e-0"}}}`)
	next := func(frame string) string {
		return `{"id":"a","type":"next","payload":{"data":{"frames":` + frame + `}}}`
	}
	s.want(
		next(`{"id":null,"method":"initialized","params":{"after":"e-0","clientId":"c1"}}`),
		next(`{"id":"e-1","method":"playbook/progress","params":{"progress":0.5}}`),
		next(`{"id":"e-2","method":"playbook/result","params":{"executionId":582940187123449857}}`),
		`{"id":"a","type":"complete"}`)
	// What fails when it is executed is a result.
	s.subscribe("c", `subscription{frames(clientId:"foreign"){id}}`)
	if got := s.next(); !strings.HasPrefix(got, `{"id":"c","type":"next"`) || !strings.Contains(got, `"FORBIDDEN"`) {
		t.Error(got)
	}
	s.want(`{"id":"c","type":"complete"}`)
}

func TestQueriesAndMutationsOverAWebSocket(t *testing.T) {
	t.Parallel()
	a := newAPI()
	s := begin(t, a)
	s.subscribe("q", "{version}")
	s.want(`{"id":"q","type":"next","payload":{"data":{"version":"v1.2.3"}}}`, `{"id":"q","type":"complete"}`)
	s.send(`{"id":"m","type":"subscribe","payload":{"operationName":"M","query":"query Q{health} mutation M($v:JSON!)` +
		`{executePlaybook(name:\"demo/echo\",variables:$v){status}}","variables":{"v":{"n":582940187123449857}}}}`)
	s.want(`{"id":"m","type":"next","payload":{"data":{"executePlaybook":{"status":"STARTED"}}}}`,
		`{"id":"m","type":"complete"}`)
	started := a.noetl.Started()
	if len(started) != 1 || started[0].Workload["n"] != json.Number("582940187123449857") {
		t.Errorf("NoETL was asked %+v", started)
	}
}

func TestWhereATokenMayBe(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		`{"authorization":"bearer secret-token"}`, `{"session_token":"secret-token"}`,
		`{"sessionToken":"secret-token"}`, `{"x-session-token":"secret-token"}`,
		`{"X-Session-Token":"secret-token","Authorization":7}`,
	} {
		s := open(t, newAPI())
		s.send(`{"type":"connection_init","payload":` + payload + `}`)
		s.want(`{"type":"connection_ack"}`)
	}
}

func TestWebSocketsThatAreRefused(t *testing.T) {
	t.Parallel()
	url := serve(t, newAPI())
	foreign := http.Header{"Origin": {"https://evil.example.com"}}
	for name, c := range map[string]struct {
		header    http.Header
		protocols []string
		status    int
		code      string
	}{
		"another origin":        {foreign, []string{protocol}, 403, "origin_denied"},
		"no subprotocol":        {nil, nil, 400, "unknown_subprotocol"},
		"the older subprotocol": {nil, []string{"graphql-ws"}, 400, "unknown_subprotocol"},
	} {
		_, why := dial(t, url, c.header, c.protocols...)
		if why.status != c.status || why.Code != c.code || why.Error == "" {
			t.Errorf("%s: %+v", name, why)
		}
	}
	for code, header := range map[string]http.Header{
		"unknown_subprotocol": {"Upgrade": {"h2c"}},
		"bad_handshake":       {"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {protocol}},
	} {
		plain := strings.Replace(url, "ws", "http", 1)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		req.Header.Set("Connection", "Upgrade")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var why refusal
		err = json.NewDecoder(resp.Body).Decode(&why)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusBadRequest || why.Code != code {
			t.Errorf("%v: %s %+v", header, resp.Status, why)
		}
	}
}

func TestSocketsOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	url := serve(t, newAPI(limits(func(l *graphql.SocketLimits) { l.SocketsPerAddress = 5 })))
	var sockets []*socket
	for range 5 {
		s, why := dial(t, url, nil, protocol)
		if s == nil {
			t.Fatal(why)
		}
		sockets = append(sockets, s)
	}
	if _, why := dial(t, url, nil, protocol); why.status != 429 || why.Code != "too_many_sockets" || why.retry != "5" {
		t.Errorf("the sixth: %+v", why)
	}
	_ = sockets[0].Close()
	testkit.Eventually(t, "one that closed makes room", func() bool {
		s, _ := dial(t, url, nil, protocol)
		return s != nil
	})
}
