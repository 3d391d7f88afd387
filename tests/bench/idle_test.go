package bench_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const idleConnections = 10_000

// dialWebSocket opens a WebSocket by hand (RFC 6455, section 4.1) and reads what comes immediately: a
// library's client would cost the measuring process more than the server.
func dialWebSocket(t *testing.T, base, session string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://")) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(
		conn,
		"GET /ws HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: "+
			"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
		session,
	); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", resp.StatusCode)
	}
	if _, err := r.ReadString('}'); err != nil { // some of the first message
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	return conn
}

// perConnection returns the resident memory, in KB, that each of many idle connections costs a
// process.
func perConnection(t *testing.T, pid int, open func() net.Conn) float64 {
	t.Helper()
	for range 50 { // whatever the first ones cost once
		c := open()
		defer func() { _ = c.Close() }()
	}
	<-time.After(2 * time.Second)
	before := resident(t, pid)
	conns := make([]net.Conn, idleConnections)
	for i := range conns {
		conns[i] = open()
	}
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	<-time.After(15 * time.Second) // garbage of the opening is collected and given back
	return (resident(t, pid) - before) / idleConnections / 1024
}

func TestBenchIdleConnections(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	up, _ := part(t, "upstream")
	bare, barePID := part(t, "bare", "UPSTREAM="+up)
	usual := perConnection(t, barePID, func() net.Conn { c, _ := dialStream(t, bare, "x"); return c })
	sse, session := gateway(t, up)
	events := perConnection(
		t, sse.PID(), func() net.Conn { c, _ := dialStream(t, sse.Ready.Public, session); return c },
	)
	ws, session := gateway(t, up)
	sockets := perConnection(t, ws.PID(), func() net.Conn { return dialWebSocket(t, ws.Ready.Public, session) })
	t.Logf(
		"RESULT idle connections, resident memory of the whole standalone over %d of them: event stream %.1f KB "+
			"each, WebSocket %.1f KB each : %.1f KB for an event stream the usual way (handler waits in "+
			"net/http) = %.2f and %.2f",
		idleConnections,
		events,
		sockets,
		usual,
		events/usual,
		sockets/usual,
	)
}
