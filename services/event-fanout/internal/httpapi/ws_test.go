package httpapi_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
)

// overTLS is a rate that makes newSockets serve TLS.
const overTLS = 7777

type sockets struct {
	t        testing.TB
	url      string
	commands *fanouttest.Commands
	frames   *fanouttest.Frames
	hub      *fanout.Hub
}

func newSockets(tb testing.TB, edit func(*httpapi.WebSocketLimits)) *sockets {
	tb.Helper()
	commands := fanouttest.NewCommands()
	events, frames := newEventsWith(1<<30, commands)
	limits := httpapi.WebSocketLimits{MaxMessage: 4096, PerMinute: 6000, Silence: time.Minute}
	if edit != nil {
		edit(&limits)
	}
	ws := httpapi.NewWebSockets(context.Background(), events, limits)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ws.Run(ctx) }()
	srv := httptest.NewUnstartedServer(ws)
	if limits.PerMinute == overTLS {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	tb.Cleanup(func() {
		srv.Close()
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return &sockets{
		t:        tb,
		url:      "ws" + strings.TrimPrefix(srv.URL, "http"),
		commands: commands,
		frames:   frames,
		hub:      events.Hub,
	}
}

// open dials and reads the first two messages.
func (s *sockets) open(query string) *websocket.Conn {
	s.t.Helper()
	c, resp, err := websocket.DefaultDialer.DialContext(s.t.Context(), s.url+"/ws?session_token=t"+query, nil)
	if err != nil {
		s.t.Fatal(err, resp)
	}
	_ = resp.Body.Close()
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if init := s.read(c); !strings.HasPrefix(
		init, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2024-11-05",`,
	) || !strings.Contains(init, `"clientId":"client"`) {
		s.t.Fatalf("first message: %s", init)
	}
	if ping := s.read(c); ping != `{"jsonrpc":"2.0","method":"ping","params":{}}` {
		s.t.Fatalf("second message: %s", ping)
	}
	testkit.Eventually(s.t, "the stream is in the hub", func() bool { return s.hub.Streams() > 0 })
	return c
}

func (s *sockets) read(c *websocket.Conn) string {
	s.t.Helper()
	kind, body, err := c.ReadMessage()
	if err != nil || kind != websocket.TextMessage {
		s.t.Fatal(kind, err)
	}
	return string(body)
}

func (s *sockets) ask(c *websocket.Conn, request string) string {
	s.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(request)); err != nil {
		s.t.Fatal(err)
	}
	return s.read(c)
}

func (s *sockets) closedWith(c *websocket.Conn, code int) {
	s.t.Helper()
	for {
		_, _, err := c.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code {
			s.t.Errorf("closed with %v, want %d", err, code)
		}
		return
	}
}

func TestEveryMethodOfTheContract(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	c := s.open("")
	started := `{"requestId":"req-1","executionId":"582940187123449857","status":"started"}`
	for _, step := range []struct{ request, want string }{
		{
			`{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}`,
			`{"jsonrpc":"2.0","id":9007199254740993,"result":"pong"}`,
		},
		{
			`{"jsonrpc":"2.0","id":"a","method":"playbook/execute","params":{"name":"demo/echo","variables":{"n":12345678901234567890},"resourceKind":"agent"}}`,
			`{"jsonrpc":"2.0","id":"a","result":` + started + `}`,
		},
		{
			`{"jsonrpc":"2.0","id":2,"method":"playbook/rerun","params":{"executionId":582940187123449857,"variables":{}}}`,
			`{"jsonrpc":"2.0","id":2,"result":` + started + `}`,
		},
		{
			`{"jsonrpc":"2.0","id":3,"method":"playbook/cancel","params":{"executionId":"5","reason":"enough"}}`,
			`{"jsonrpc":"2.0","id":3,"result":{"executionId":"582940187123449857","status":"cancelled"}}`,
		},
		{
			`{"jsonrpc":"2.0","id":4,"method":"subscription/open","params":{"path":"chat_threads/1","scope":"owner"}}`,
			`{"jsonrpc":"2.0","id":4,"result":{"subscription_id":"s1","client_id":"client","source":"firestore","path":"chat_threads/1","scope":"owner","created_at":"0001-01-01T00:00:00Z"}}`,
		},
		{
			`{"jsonrpc":"2.0","id":5,"method":"subscription/close","params":{"subscription_id":"x"}}`,
			`{"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"x has ended","data":{"code":"no_such_subscription"}}}`,
		},
		{
			`{"jsonrpc":"2.0","id":6,"method":"else"}`,
			`{"jsonrpc":"2.0","id":6,"error":{"code":-32601,"message":"there is no such method"}}`,
		},
		{
			`{"jsonrpc":"2.0","id":7,"method":"playbook/execute","params":{}}`,
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"params.name must be the path of a playbook","data":{"code":"no_name"}}}`,
		},
		{
			`{"jsonrpc":"2.0","id":8,"method":"playbook/execute","params":{"name":"x","variables":[1]}}`,
			`{"jsonrpc":"2.0","id":8,"error":{"code":-32602,"message":"params.variables must be an object","data":{"code":"bad_variables"}}}`,
		},
		{
			`{"jsonrpc":"2.0","id":9,"method":"playbook/rerun","params":{"executionId":1.5}}`,
			`{"jsonrpc":"2.0","id":9,"error":{"code":-32602,"message":"params do not have the shape of this method","data":{"code":"bad_params"}}}`,
		},
		{
			`{"jsonrpc":"2.0","id":10,"method":"playbook/cancel","params":{"executionId":"../x"}}`,
			`{"jsonrpc":"2.0","id":10,"error":{"code":-32602,"message":"params.executionId must be a number, or up to 64 letters, digits, - or _","data":{"code":"bad_execution_id"}}}`,
		},
		{`{`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the message is not valid JSON"}}`},
		{
			`[]`,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not supported: send one request per message"}}`,
		},
	} {
		if got := s.ask(c, step.request); got != step.want {
			t.Errorf("%s\n got %s\nwant %s", step.request, got, step.want)
		}
	}
	want := []any{
		edgewire.ExecuteRequest{
			SessionToken: "t",
			ClientID:     "client",
			Name:         "demo/echo",
			Variables:    []byte(`{"n":12345678901234567890}`),
			ResourceKind: "agent",
		},
		edgewire.RerunRequest{
			SessionToken: "t",
			ClientID:     "client",
			ExecutionID:  "582940187123449857",
			Variables:    []byte(`{}`),
		},
		edgewire.CancelRequest{SessionToken: "t", ExecutionID: "5", Reason: "enough"},
	}
	if diff := cmp.Diff(want, s.commands.Seen()); diff != "" {
		t.Error(diff)
	}
	init := s.ask(c, `{"jsonrpc":"2.0","id":"again","method":"initialize","params":{"protocolVersion":"2024-11-05"}}`)
	if !strings.Contains(
		init,
		`"id":"again","result":{"protocolVersion":"2024-11-05","serverInfo":{"name":"noetl-gateway"`,
	) ||
		!strings.Contains(init, `"clientId":"client"`) {
		t.Error(init)
	}
	for kind, code := range map[fault.Kind]int{
		fault.Unauthenticated: -32002, fault.Denied: -32003, fault.Timeout: -32001, fault.Unavailable: -32603,
	} {
		s.commands.Fail(fault.New(kind, "c", "m"))
		want := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"error":{"code":%d,"message":"m","data":{"code":"c"}}}`, code)
		if got := s.ask(c, `{"jsonrpc":"2.0","id":1,"method":"playbook/execute","params":{"name":"x"}}`); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

func TestANotificationIsNotAnswered(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	c := s.open("")
	for _, m := range []string{
		`{"jsonrpc":"2.0","method":"ping"}`, `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","method":"ping","params":[1]}`,
		`{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","method":"playbook/execute","params":{"name":"quiet"}}`,
	} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.ask(c, `{"jsonrpc":"2.0","id":"last","method":"ping"}`); !strings.Contains(got, `"last"`) {
		t.Error(got)
	}
	testkit.Eventually(t, "it was executed", func() bool { return len(s.commands.Seen()) == 1 })
}

func TestFramesTellTheirIDsAndAreReplayed(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	c := s.open("")
	store := func(n int) {
		t.Helper()
		body := fmt.Sprintf(`{"jsonrpc":"2.0","method":"playbook/state","params":{"n":%d}}`, n)
		if err := s.frames.Append(
			t.Context(), "client",
			fanout.NewFrame{Event: "playbook/state", DedupID: fmt.Sprint(n), Body: []byte(body)},
		); err != nil {
			t.Fatal(err)
		}
	}
	store(1)
	first := s.read(c)
	var m struct {
		Params struct {
			Meta struct {
				EventID string `json:"eventId"`
			} `json:"_meta"`
		} `json:"params"`
	}
	if err := json.Unmarshal([]byte(first), &m); err != nil || m.Params.Meta.EventID == "" ||
		!strings.HasSuffix(first, `,"n":1}}`) {
		t.Fatal(first, err)
	}
	store(2)
	s.read(c)
	_ = c.Close()
	store(3)
	again := s.open("&client_id=client&last_event_id=" + m.Params.Meta.EventID)
	for _, want := range []string{`"n":2}}`, `"n":3}}`} {
		if got := s.read(again); !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want …%s", got, want)
		}
	}
}

func TestWhatIsNoHandshakeIsRefusedWithAStatus(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	base := "http" + strings.TrimPrefix(s.url, "ws") + "/ws?session_token=t"
	upgrade := http.Header{
		"Connection":            {"keep-alive, Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {"MDEyMzQ1Njc4OWFiY2RlZg=="},
	}
	with := func(name, value string) http.Header {
		h := upgrade.Clone()
		h.Set(name, value)
		return h
	}
	for name, c := range map[string]struct {
		method, url string
		header      http.Header
		want        int
	}{
		"a plain GET":        {http.MethodGet, base, nil, 426},
		"a HEAD":             {http.MethodHead, base, nil, 405},
		"an old version":     {http.MethodGet, base, with("Sec-Websocket-Version", "8"), 426},
		"no key":             {http.MethodGet, base, with("Sec-Websocket-Key", "x"), 400},
		"no session":         {http.MethodGet, strings.TrimSuffix(base, "?session_token=t"), upgrade, 401},
		"a foreign origin":   {http.MethodGet, base, with("Origin", "https://evil.example"), 403},
		"the origin null":    {http.MethodGet, base, with("Origin", "null"), 403},
		"a look-alike":       {http.MethodGet, base, with("Origin", "https://app.example.com.evil.example"), 403},
		"another scheme":     {http.MethodGet, base, with("Origin", "http://app.example.com"), 403},
		"a pattern's parent": {http.MethodGet, base, with("Origin", "https://wild.example"), 403},
		"a ticket of nobody": {http.MethodGet, base + "&ticket=x", upgrade, 401},
		"a listed origin":    {http.MethodGet, base, with("Origin", "https://APP.example.com"), 101},
		"a pattern":          {http.MethodGet, base, with("Origin", "https://a.wild.example"), 101},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header != nil {
			req.Header = c.header
		}
		resp, err := (&http.Transport{}).RoundTrip(req)
		if err != nil {
			t.Fatal(name, err)
		}
		if resp.StatusCode != c.want ||
			(c.want != 101 && !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json")) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		_ = resp.Body.Close()
		testkit.Eventually(t, "closed again", func() bool { return s.hub.Streams() == 0 })
	}
}

func TestTheGoClientOfCoderWebsocket(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	options := &coder.DialOptions{
		HTTPHeader:      http.Header{"Authorization": {"Bearer t"}},
		CompressionMode: coder.CompressionContextTakeover,
	}
	c, resp, err := coder.Dial(t.Context(), s.url+"/ws", options) //nolint:bodyclose // it is the connection
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-Websocket-Extensions"); got != "" {
		t.Errorf("extensions %q", got)
	}
	received := make(chan string, 16)
	go func() {
		for {
			_, m, err := c.Read(context.Background())
			if err != nil {
				close(received)
				return
			}
			received <- string(m)
		}
	}()
	<-received
	<-received
	if err := c.Ping(t.Context()); err != nil { // answered by a control frame
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), coder.MessageText, []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	if got := <-received; got != `{"jsonrpc":"2.0","id":1,"result":"pong"}` {
		t.Error(got)
	}
	if err := c.Close(coder.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("the closing handshake: %v", err)
	}
	testkit.Eventually(t, "the stream is gone", func() bool { return s.hub.Streams() == 0 })
}

// The bytes of TLS cannot be polled for: such a connection has a goroutine that reads.
func TestAWebSocketOverTLS(t *testing.T) {
	t.Parallel()
	s := newSockets(t, func(l *httpapi.WebSocketLimits) { l.PerMinute = overTLS })
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	c, resp, err := dialer.DialContext(t.Context(), s.url+"/ws?session_token=t", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	s.read(c)
	s.read(c)
	for range 3 {
		if got := s.ask(
			c,
			`{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		); got != `{"jsonrpc":"2.0","id":1,"result":"pong"}` {
			t.Error(got)
		}
	}
	if err := c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "")); err != nil {
		t.Fatal(err)
	}
	s.closedWith(c, 1000)
	testkit.Eventually(t, "the stream is gone", func() bool { return s.hub.Streams() == 0 })
}
