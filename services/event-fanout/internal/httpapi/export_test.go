package httpapi

import (
	"net"
	"net/http"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// AppendEvents is the encoding of the event stream.
func AppendEvents(messages []fanout.Outgoing) []byte { return appendEvents(messages) }

// PeerGone is peerGone.
func PeerGone(c net.Conn) bool { return peerGone(c) }

// HijackHead hijacks and closes.
func HijackHead(w http.ResponseWriter, r *http.Request) (bool, error) {
	c, ok, err := hijack(w, r, time.Second)
	if c != nil {
		c.Close()
	}
	return ok, err
}

// RawConn is a hijacked connection on c.
func RawConn(c net.Conn, timeout time.Duration) fanout.Conn {
	return &rawConn{conn: c, timeout: timeout}
}

// PlainConn writes through w; ended is closed when it was closed.
func PlainConn(w http.ResponseWriter, timeout time.Duration) (c fanout.Conn, ended <-chan struct{}) {
	p := &plainConn{w: w, rc: http.NewResponseController(w), timeout: timeout, ended: make(chan struct{})}
	return p, p.ended
}

// Bounded changes how far callbacks are read, in bytes, and how long.
func (l LargeResults) Bounded(scanned int64, keep time.Duration) LargeResults {
	l.scanned, l.time = scanned, keep
	return l
}
