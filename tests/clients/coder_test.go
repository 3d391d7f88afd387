package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/noetl/gateway/tests/stack"
)

// dial opens a WebSocket with Go's coder/websocket, without extensions.
func dial(t *testing.T, target, session string, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if opts == nil {
		opts = &websocket.DialOptions{}
	}
	if session != "" {
		opts.HTTPHeader = http.Header{"Authorization": {"Bearer " + session}}
	}
	c, resp, err := websocket.Dial( //nolint:bodyclose // the library takes it over
		ctx,
		strings.Replace(target, "http://", "ws://", 1),
		opts,
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	if got := resp.Header.Get("Sec-Websocket-Extensions"); got != "" {
		t.Errorf("the extensions %q were negotiated", got)
	}
	return c
}

// read returns the next message that is not a ping.
func read(t *testing.T, c *websocket.Conn) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var data json.RawMessage
		if err := wsjson.Read(ctx, c, &data); err != nil {
			t.Fatal(err)
		}
		if m := method(data); m != "ping" {
			return said{Kind: "message", Event: m, Data: data}
		}
	}
}

// ending reads until the connection ends and returns the close code.
func ending(t *testing.T, c *websocket.Conn) websocket.CloseError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			var end websocket.CloseError
			if !errors.As(err, &end) {
				t.Fatalf("it ended without a close frame: %v", err)
			}
			return end
		}
	}
}

func write(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestCoderWebSocketGetsEveryFrameAndGoesOn(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	w := stack.NewWire(t, p.Ready.Public)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	// Compression is offered in each of the library's ways; the answer declines it.
	for _, mode := range []websocket.CompressionMode{
		websocket.CompressionDisabled, websocket.CompressionContextTakeover, websocket.CompressionNoContextTakeover,
	} {
		c := dial(t, w.URL+"/ws", session, &websocket.DialOptions{CompressionMode: mode})
		first := read(t, c)
		first.Event = "message"
		client := firstFrame(t, first)
		started := stack.Execute(t, p.Ready.Public, session, client, "demo/progress", `{"step_ms":60}`)
		var r run
		for r.frames < 4 {
			r.take(t, eventOf(t, read(t, c)), started)
		}
		w.Cut()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for { // what was under way may still be read
			var data json.RawMessage
			if err := wsjson.Read(ctx, c, &data); err != nil {
				break
			}
			if method(data) != "ping" {
				r.take(t, eventOf(t, said{Data: data}), started)
			}
		}
		cancel()
		again := dial(
			t, w.URL+"/ws?"+url.Values{"client_id": {client}, "last_event_id": {r.last}}.Encode(), session, nil,
		)
		first = read(t, again)
		first.Event = "message"
		if got := firstFrame(t, first); got != client {
			t.Errorf("it came again as %s, want %s", got, client)
		}
		for r.result == nil {
			r.take(t, eventOf(t, read(t, again)), started)
		}
		r.complete(t)
	}
}

// eventOf reads a message as an event stream would have it.
func eventOf(t *testing.T, line said) said {
	t.Helper()
	return (&socket{frames: []said{line}}).frame(t)
}

func TestCoderWebSocketPingsAndCloses(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(
		t, "GATEWAY_WS_MAX_MESSAGE_BYTES=4096", "GATEWAY_HEARTBEAT_INTERVAL_SECS=1",
		"GATEWAY_CONNECTION_TIMEOUT_SECS=4") // a peer that was quiet for a second is pinged
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	pinged := make(chan struct{}, 64)
	c := dial(
		t,
		p.Ready.Public+"/ws",
		session,
		&websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
			pinged <- struct{}{}
			return true
		}},
	)
	texts := make(chan []byte, 64)
	go func() { // the library answers and hears control frames only while somebody reads
		defer close(texts)
		for {
			_, text, err := c.Read(ctx)
			if err != nil {
				return
			}
			texts <- text
		}
	}()
	for range 3 {
		if err := c.Ping(ctx); err != nil {
			t.Fatalf("no pong: %v", err)
		}
	}
	for range 2 {
		select {
		case <-pinged:
		case <-ctx.Done():
			t.Fatal("no ping of the protocol with the heartbeat")
		}
	}
	// A message in several frames is one message.
	w, err := c.Writer(ctx, websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`{"jsonrpc":"2.0",`, `"id":"parts",`, `"method":"ping"}`} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for text := range texts {
		if strings.Contains(string(text), `"parts"`) {
			if want := `{"jsonrpc":"2.0","id":"parts","result":"pong"}`; string(text) != want {
				t.Errorf("%s, want %s", text, want)
			}
			break
		}
	}
	// Close returns nil only when the peer has answered with the same code.
	if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("the close handshake: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("it took too long")
	}

	large := dial(t, p.Ready.Public+"/ws", session, nil)
	write(t, large, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"`+strings.Repeat("x", 5000)+`"}}`)
	if end := ending(t, large); end.Code != websocket.StatusMessageTooBig {
		t.Errorf("a large message: %v, want 1009", end)
	}
	utf8 := dial(t, p.Ready.Public+"/ws", session, nil)
	write(t, utf8, "{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}")
	if end := ending(t, utf8); end.Code != websocket.StatusInvalidFramePayloadData {
		t.Errorf("no UTF-8: %v, want 1007", end)
	}
}

// graphql-transport-ws without a library for it: the messages themselves.
func TestCoderWebSocketOverGraphQL(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	for _, mode := range []websocket.CompressionMode{
		websocket.CompressionDisabled, websocket.CompressionContextTakeover,
	} {
		c := dial(
			t, p.Ready.Public+"/graphql", "",
			&websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, CompressionMode: mode},
		)
		if got := c.Subprotocol(); got != "graphql-transport-ws" {
			t.Errorf("the subprotocol is %q", got)
		}
		write(t, c, `{"type":"connection_init","payload":{"session_token":"`+session+`"}}`)
		if got := nextGraphQL(t, c, ""); got.Type != "connection_ack" {
			t.Fatalf("%+v, want connection_ack", got)
		}
		write(t, c, `{"type":"ping"}`)
		if got := nextGraphQL(t, c, ""); got.Type != "pong" {
			t.Errorf("%+v, want pong", got)
		}
		write(t, c, `{"id":"q","type":"subscribe","payload":{"query":"{health}"}}`)
		if got := nextGraphQL(t, c, "q"); got.Type != "next" || string(got.Payload) != `{"data":{"health":"ok"}}` {
			t.Errorf("a query: %+v %s", got, got.Payload)
		}
		if got := nextGraphQL(t, c, "q"); got.Type != "complete" {
			t.Errorf("%+v, want complete", got)
		}
		write(t, c, `{"id":"s","type":"subscribe","payload":{"query":"subscription{frames{id method params}}"}}`)
		client := firstFrame(t, frameOf(t, nextGraphQL(t, c, "s")))
		started := stack.Execute(t, p.Ready.Public, session, client, "demo/progress", `{"step_ms":10}`)
		var r run
		for r.result == nil {
			if line := frameOf(t, nextGraphQL(t, c, "s")); line.Event != "ping" {
				r.take(t, line, started)
			}
		}
		r.complete(t)
		write(t, c, `{"id":"s","type":"complete"}`)
		write(t, c, `{"id":"bad","type":"subscribe","payload":{"query":"{nothing}"}}`)
		for got := nextGraphQL(t, c, ""); got.ID != "bad" || got.Type != "error"; got = nextGraphQL(t, c, "") {
			if got.ID != "s" {
				t.Fatalf("%+v %s, want the error of bad", got, got.Payload)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, protocols := range [][]string{nil, {"graphql-ws"}, {"other"}} {
		_, resp, err := websocket.Dial( //nolint:bodyclose // refused: the library has read it
			ctx,
			strings.Replace(p.Ready.Public, "http://", "ws://", 1)+"/graphql",
			&websocket.DialOptions{Subprotocols: protocols},
		)
		if err == nil || resp == nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("subprotocols %q: %v", protocols, err)
		}
	}
}

// graphqlMessage is a message of graphql-transport-ws.
type graphqlMessage struct {
	ID, Type string
	Payload  json.RawMessage
}

// nextGraphQL returns the next message that is no ping; it must have the id, if one is given.
func nextGraphQL(t *testing.T, c *websocket.Conn, id string) graphqlMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var m graphqlMessage
		if err := wsjson.Read(ctx, c, &m); err != nil {
			t.Fatal(err)
		}
		if m.Type == "ping" {
			continue
		}
		if id != "" && m.ID != id {
			t.Fatalf("%+v %s, want one of %s", m, m.Payload, id)
		}
		return m
	}
}

// frameOf reads a frame as an event stream would have it.
func frameOf(t *testing.T, m graphqlMessage) said {
	t.Helper()
	var next struct {
		Data struct {
			Frames struct {
				ID, Method string
				Params     json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(m.Payload, &next); err != nil || m.Type != "next" {
		t.Fatalf("%+v %s: %v", m, m.Payload, err)
	}
	f := next.Data.Frames
	return said{Kind: "event", Event: f.Method, ID: f.ID, Data: json.RawMessage(`{"params":` + string(f.Params) + `}`)}
}
