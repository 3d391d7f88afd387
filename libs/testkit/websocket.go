package testkit

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// SendRaw opens a WebSocket by hand at host:port, sends bytes that need not be frames, and fails the test unless the
// server ends the connection. header are more lines of the handshake.
func SendRaw(tb testing.TB, address, target, header string, sent []byte) {
	tb.Helper()
	c, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
	Must(tb, err)
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"+header+"\r\n")
	Must(tb, err)
	head := make([]byte, 12)
	if _, err := io.ReadFull(c, head); err != nil || string(head) != "HTTP/1.1 101" {
		tb.Fatalf("%q %v", head, err)
	}
	_, _ = c.Write(sent) // the server may have closed half-way
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		tb.Errorf("%q left the connection open", sent)
	}
}
