package httpapi_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
)

func TestCloseCodesSayWhatWasWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send func(*websocket.Conn) error
		code int
	}{
		"too large": {func(c *websocket.Conn) error {
			return c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 1<<20)))
		}, websocket.CloseMessageTooBig},
		"binary": {
			func(c *websocket.Conn) error { return c.WriteMessage(websocket.BinaryMessage, []byte("{}")) },
			websocket.CloseUnsupportedData,
		},
		"not UTF-8": {
			func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte("\xff")) },
			websocket.CloseInvalidFramePayloadData,
		},
		"a reserved bit": {func(c *websocket.Conn) error {
			_, err := c.NetConn().Write([]byte{0xc1, 0x80, 0, 0, 0, 0})
			return err
		}, websocket.CloseProtocolError},
		"not masked": {func(c *websocket.Conn) error {
			_, err := c.NetConn().Write([]byte{0x81, 0x00})
			return err
		}, websocket.CloseProtocolError},
		"a ping that is not masked": {func(c *websocket.Conn) error {
			_, err := c.NetConn().Write([]byte{0x89, 0x00})
			return err
		}, websocket.CloseProtocolError},
		"a ping in parts": {func(c *websocket.Conn) error {
			_, err := c.NetConn().Write([]byte{0x09, 0x80, 0, 0, 0, 0})
			return err
		}, websocket.CloseProtocolError},
		"the client's own close": {func(c *websocket.Conn) error {
			return c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		}, websocket.CloseNormalClosure},
	} {
		s := newSockets(t, nil)
		conn := s.open("")
		if err := c.send(conn); err != nil {
			t.Logf("%s: %v", name, err) // the server may have closed before all of it was sent
		}
		t.Log(name)
		s.closedWith(conn, c.code)
		testkit.Eventually(t, name+": the stream is gone", func() bool { return s.hub.Streams() == 0 })
	}
}

func TestARevokedSessionIsToldAndClosed(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	c := s.open("")
	s.hub.EndSession(authwire.NewToken("t").Key())
	if got := s.read(c); got != `{"jsonrpc":"2.0","method":"session/expired","params":{"reason":"revoked"}}` {
		t.Error(got)
	}
	s.closedWith(c, 4401)
}

func TestADrainIsToldAsARestart(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	c := s.open("")
	s.hub.Drain(t.Context())
	s.closedWith(c, websocket.CloseServiceRestart)
}

// What a client sends in one go, byte by byte, and between the parts of a message.
func TestMessagesArriveHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	c := s.open("")
	ping := []byte{0x89, 0x82, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2}
	text := func(first byte, body string) []byte {
		return append([]byte{first, 0x80 | byte(len(body)), 0, 0, 0, 0}, body...)
	}
	request := `{"jsonrpc":"2.0","id":%,"method":"ping"}`
	id := func(n string) string { return strings.Replace(request, "%", n, 1) }
	var pongs []string
	c.SetPongHandler(func(data string) error { pongs = append(pongs, data); return nil })
	all := text(0x81, id("1"))
	all = append(all, ping...)
	all = append(all, text(0x81, id("2"))...)
	all = append(all, text(0x01, id("3")[:7])...)
	all = append(all, ping...)
	all = append(all, text(0x80, id("3")[7:])...)
	all = append(all, ping...)
	if _, err := c.NetConn().Write(all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2", "3"} {
		if got := s.read(c); got != `{"jsonrpc":"2.0","id":`+want+`,"result":"pong"}` {
			t.Error(got)
		}
	}
	for _, b := range text(0x81, id("4")) {
		if _, err := c.NetConn().Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.read(c); got != `{"jsonrpc":"2.0","id":4,"result":"pong"}` {
		t.Error(got)
	}
	if strings.Join(pongs, " ") != "ab ab ab" {
		t.Error(pongs)
	}
}

func TestMessagesBeyondTheRateAreRefusedThenCutOff(t *testing.T) {
	t.Parallel()
	s := newSockets(t, func(l *httpapi.WebSocketLimits) { l.PerMinute = 60 })
	c := s.open("")
	refused := 0
	for range 40 {
		if got := s.ask(c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`); strings.Contains(
			got,
			`"code":"too_many","retryAfterMs":`,
		) {
			refused++
		}
	}
	if refused < 15 || refused > 21 {
		t.Errorf("%d of 40 were refused, with a burst of 20 allowed, one of them a pong", refused)
	}
	go func() {
		for c.WriteMessage(websocket.PingMessage, nil) == nil { // a flood of control frames counts as well
			if s.hub.Streams() == 0 {
				return
			}
		}
	}()
	s.closedWith(c, websocket.ClosePolicyViolation)
}

func TestCommandsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	s := newSockets(t, nil)
	c := s.open("")
	hold := make(chan struct{})
	s.commands.Hold.Set(hold)
	for range 9 {
		if err := c.WriteMessage(
			websocket.TextMessage,
			[]byte(`{"jsonrpc":"2.0","id":"x","method":"playbook/execute","params":{"name":"slow"}}`),
		); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.read(c); !strings.Contains(got, `"code":"too_many_commands"`) {
		t.Error(got)
	}
	if got := s.ask(c, `{"jsonrpc":"2.0","id":"y","method":"ping"}`); !strings.Contains(
		got,
		"pong",
	) { // it goes on reading
		t.Error(got)
	}
	close(hold)
	for range 8 {
		if got := s.read(c); !strings.Contains(got, `"result"`) {
			t.Error(got)
		}
	}
}

func TestASilentPeerIsDropped(t *testing.T) {
	t.Parallel()
	s := newSockets(t, func(l *httpapi.WebSocketLimits) { l.Silence = 50 * time.Millisecond })
	c := s.open("")
	go func() { _ = s.hub.Run(t.Context()) }()
	if _, err := io.Copy(io.Discard, c.NetConn()); err != nil { // reads, and answers no ping
		t.Log(err)
	}
	testkit.Eventually(t, "the stream is gone", func() bool { return s.hub.Streams() == 0 })
}

// A client that reads nothing is cut off when its socket is full; its memory here is bounded.
func TestAClientThatTakesNoAnswersIsCutOff(t *testing.T) {
	t.Parallel()
	s := newSockets(t, func(l *httpapi.WebSocketLimits) { l.PerMinute, l.MaxMessage = 60_000_000, 1<<20 })
	c := s.open("")
	if tcp, ok := c.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	long := `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 200) + `","method":"ping"}`
	_ = c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for s.hub.Streams() > 0 {
		if err := c.WriteMessage(websocket.TextMessage, []byte(long)); err != nil {
			break
		}
	}
	testkit.Eventually(t, "the stream is gone", func() bool { return s.hub.Streams() == 0 })
}

// After a ping or a pong the connection is idle again: the time that a message may take must not
// go on running, or every connection would end after its first pong.
func TestAControlFrameIsNoBeginningOfAMessage(t *testing.T) {
	t.Parallel()
	s := newSockets(t, func(l *httpapi.WebSocketLimits) { l.Message = 200 * time.Millisecond })
	for name, kind := range map[string]int{"ping": websocket.PingMessage, "pong": websocket.PongMessage} {
		c := s.open("")
		if err := c.WriteControl(kind, []byte("x"), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		<-time.After(600 * time.Millisecond) // longer than a message may take
		if err := c.WriteMessage(
			websocket.TextMessage,
			[]byte(`{"jsonrpc":"2.0","id":7,"method":"ping"}`),
		); err != nil {
			t.Fatal(name, err)
		}
		if got := s.read(c); !strings.Contains(got, `"pong"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAMessageThatDoesNotEndIsCutOff(t *testing.T) {
	t.Parallel()
	s := newSockets(t, func(l *httpapi.WebSocketLimits) { l.Message = 200 * time.Millisecond })
	c := s.open("")
	if _, err := c.NetConn().Write([]byte{0x81, 0xfe}); err != nil { // the first two bytes of a longer frame
		t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); err == nil {
		t.Error("still open")
	}
	testkit.Eventually(t, "the stream is gone", func() bool { return s.hub.Streams() == 0 })
}
