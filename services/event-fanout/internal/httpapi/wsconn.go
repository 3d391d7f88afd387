package httpapi

import (
	"bufio"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

// socket is the connection under a WebSocket. Writes have the deadline of a slow client, and
// while it is held they are gathered, so that a batch of frames is one system call.
type socket struct {
	net.Conn
	timeout time.Duration

	mu   sync.Mutex
	hold bool
	held []byte
}

// Write implements net.Conn. Each call has a whole frame, or the next part of one while no
// other can come between.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold {
		s.held = append(s.held, p...)
		return len(p), nil
	}
	return s.send(p)
}

// SetWriteDeadline leaves the deadline to send: the library sets it before it has the right to
// write, which would shorten that of another write.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

func (s *socket) send(p []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

func (s *socket) gather() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = true
}

func (s *socket) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.hold, s.held = false, nil
	if len(held) == 0 {
		return nil
	}
	_, err := s.send(held)
	return err
}

var (
	_ fanout.Conn         = (*wsConn)(nil)
	_ fanout.ReasonCloser = (*wsConn)(nil)
)

// wsConn is a WebSocket connection. An idle one has no goroutine, and no buffer but readBuffer.
type wsConn struct {
	socket socket
	ws     *websocket.Conn
	reader *bufio.Reader // which ws reads from, at the start of a frame while nobody reads
	number uint64        // the poller's
	owner  *WebSockets
	stream *fanout.Stream
	token  authwire.Token // of the session, for commands
	client string

	heard   atomic.Int64 // Unix nanoseconds of the last sign of life
	closing atomic.Bool  // a close frame was sent: the connection closes by itself
	running atomic.Int32 // commands under way

	// Of the goroutine that reads.
	due     int64 // Unix nanoseconds at which the messages so far would be used up at the allowed rate
	refused int   // messages refused in a row
}

// start takes over an upgraded connection.
func (c *wsConn) start(ws *websocket.Conn) {
	c.ws = ws
	c.heard.Store(time.Now().UnixNano())
	ws.SetReadLimit(c.owner.limits.MaxMessage)
	ws.SetPongHandler(func(string) error { return c.control(nil) })
	ws.SetPingHandler(func(data string) error {
		return c.control(func() error {
			return ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(c.socket.timeout))
		})
	})
}

// Send implements the port. A heartbeat is one message, unless the peer was quiet for long: then a ping of the protocol
// goes along, which every client answers by itself.
func (c *wsConn) Send(messages []fanout.Outgoing) error {
	if peerGone(c.socket.Conn) {
		return errPeerGone
	}
	c.socket.gather()
	err := c.gather(messages)
	if rerr := c.socket.release(); rerr != nil {
		return rerr
	}
	return err
}

func (c *wsConn) gather(messages []fanout.Outgoing) error {
	for _, m := range messages {
		if err := c.ws.WriteMessage(websocket.TextMessage, wire.AppendMessage(nil, m.ID, m.Body)); err != nil {
			return err
		}
		if m.Event == frame.MethodPing && c.silentFor() >= c.owner.limits.Quiet {
			if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.socket.timeout)); err != nil {
				return err
			}
		}
	}
	return nil
}

// End implements fanout.ReasonCloser: it begins the closing handshake and gives the peer a while for
// its part.
func (c *wsConn) End(why fanout.Ending) {
	code, text := closeCode(why)
	c.goodbye(code, text)
	time.AfterFunc(closeWait, c.drop)
}

func (c *wsConn) goodbye(code int, text string) {
	_ = c.ws.WriteControl(
		websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(c.socket.timeout),
	) // it ends either way
	c.closing.Store(true)
}

// closeWait is how long the peer has to answer a close frame.
const closeWait = time.Second

// Transport implements fanout.Transport.
func (c *wsConn) Transport() string { return "websocket" }

// Close implements the port.
func (c *wsConn) Close() {
	if !c.closing.Load() {
		c.drop()
	}
}

func (c *wsConn) drop() {
	c.owner.poller.remove(c)
	_ = c.socket.Close()
}

// silentFor returns how long nothing was heard of the peer.
func (c *wsConn) silentFor() time.Duration {
	return time.Duration(time.Now().UnixNano() - c.heard.Load())
}

// Alive reports whether the peer has not closed and has been heard of lately.
func (c *wsConn) Alive() bool {
	return c.silentFor() < c.owner.limits.Silence && !peerGone(c.socket.Conn)
}

// linger lets the peer read our close frame: closing with its bytes unread would reset the
// connection and take the frame.
func (c *wsConn) linger() {
	if half, ok := c.socket.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.socket.SetReadDeadline(time.Now().Add(closeWait))
	_, _ = io.Copy(io.Discard, c.socket.Conn)
	c.drop()
}
