package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var errPeerGone = errors.New("the peer has closed the connection")

// appendEvent appends one event of the event stream format (WHATWG HTML, section 9.2). The
// body is JSON, in which a raw line break can only be white space: one data line holds it, and
// nothing stored can begin a line of its own.
func appendEvent(b []byte, m fanout.Outgoing) []byte {
	if m.ID != "" {
		b = append(b, "id: "...)
		b = append(b, m.ID...)
		b = append(b, '\n')
	}
	b = append(b, "event: "...)
	b = append(b, m.Event...)
	b = append(b, "\ndata: "...)
	at := len(b)
	b = append(b, bytes.TrimSpace(m.Body)...)
	for i := at; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' {
			b[i] = ' '
		}
	}
	return append(b, "\n\n"...)
}

func appendEvents(messages []fanout.Outgoing) []byte {
	size := 0
	for _, m := range messages {
		size += len(m.Body) + 96
	}
	b := make([]byte, 0, size)
	for _, m := range messages {
		b = appendEvent(b, m)
	}
	return b
}

var _ fanout.Conn = (*rawConn)(nil)

// rawConn is a hijacked HTTP/1.1 connection: no goroutine and no buffers of net/http stay
// with it. The answer has no length and ends with the connection.
type rawConn struct {
	conn    net.Conn
	timeout time.Duration
}

func (c *rawConn) Send(messages []fanout.Outgoing) error {
	if peerGone(c.conn) {
		return errPeerGone
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(appendEvents(messages))
	return err
}

func (c *rawConn) Close() { _ = c.conn.Close() }

// Alive reports whether the peer has not closed its side, without waiting.
func (c *rawConn) Alive() bool { return !peerGone(c.conn) }

// peerGone looks, without waiting, whether the peer has closed its side. Nobody reads these
// connections, and a write to a closed one succeeds once: the frame would count as written.
func peerGone(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = (err == nil && n == 0) ||
			(err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR))
	})
	return err != nil || gone
}

var _ fanout.Conn = (*plainConn)(nil)

// plainConn writes through the ResponseWriter, for HTTP/2 and TLS; the handler's goroutine
// waits until ended is closed.
type plainConn struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	ended   chan struct{}

	// mu makes Close wait for a Send: after it the handler returns, and who then touches the
	// ResponseWriter of an HTTP/2 stream panics.
	mu     sync.Mutex
	closed bool
}

func (c *plainConn) Send(messages []fanout.Outgoing) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errPeerGone
	}
	if err := c.rc.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := c.w.Write(appendEvents(messages)); err != nil {
		return err
	}
	if err := c.rc.Flush(); err != nil {
		return err
	}
	// HTTP/2 resets a stream at its write deadline also when nothing is being written.
	_ = c.rc.SetWriteDeadline(time.Time{})
	return nil
}

func (c *plainConn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.ended)
	}
}

// hijack takes the connection over and answers the head of the stream on it. ok is false when
// the server does not let go of its connection (HTTP/2) or when the bytes are not ours alone
// (TLS); nothing was written then.
func hijack(w http.ResponseWriter, r *http.Request, timeout time.Duration) (conn *rawConn, ok bool, err error) {
	if r.ProtoMajor != 1 || r.TLS != nil {
		return nil, false, nil
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 200 OK\r\n")
	w.Header().Set("Connection", "close")
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_ = w.Header().Write(&head) // a bytes.Buffer does not fail
	head.WriteString("\r\n")
	conn = &rawConn{conn: c, timeout: timeout}
	if err = c.SetDeadline(time.Now().Add(timeout)); err == nil {
		_, err = c.Write(head.Bytes())
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, true, err
	}
	return conn, true, nil
}
