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
