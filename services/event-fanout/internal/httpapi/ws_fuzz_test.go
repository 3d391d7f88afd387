package httpapi_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// Whatever a client sends, its connection ends when it does, and nothing else does: a panic in
// a reader would end the process.
func FuzzWhatAClientSends(f *testing.F) {
	f.Add([]byte{0x89, 0x82, 1, 2, 3, 4, 'a', 'b', 0x81, 0x82, 0, 0, 0, 0, '{', '}'})
	f.Add([]byte{0x01, 0x81, 0, 0, 0, 0, '{', 0x8a, 0x80, 0, 0, 0, 0, 0x80, 0x81, 0, 0, 0, 0, '}'})
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{0x88, 0x82, 0, 0, 0, 0, 3, 232, 0x89, 0xfe})
	s := newSockets(f, nil)
	f.Fuzz(func(t *testing.T, sent []byte) {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "ws://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		handshake := "GET /ws?session_token=t HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " +
			"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
		if _, err := io.WriteString(c, handshake); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 12)
		if _, err := io.ReadFull(c, head); err != nil || string(head) != "HTTP/1.1 101" {
			t.Fatalf("%q %v", head, err)
		}
		_, _ = c.Write(sent) // the server may have closed half-way
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%q left the connection open", sent)
		}
		testkit.Eventually(t, "the stream is gone", func() bool { return s.hub.Streams() == 0 })
	})
}
