package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

func TestARequestIsStreamed(t *testing.T) {
	first := make(chan string, 1)
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		in := bufio.NewReader(r.Body)
		line, _ := in.ReadString('\n')
		first <- line
		_, _ = io.Copy(io.Discard, in)
	})
	body, feed := io.Pipe()
	req, done := request(t, "POST", front(t, up.URL).URL+"/noetl/x", body), make(chan answer, 1)
	go func() { done <- do(t, req) }()
	if _, err := io.WriteString(feed, "one\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-first; got != "one\n" { // the request has not ended yet
		t.Errorf("%q", got)
	}
	_ = feed.Close()
	if got := <-done; got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAnAnswerIsStreamed(t *testing.T) {
	finish := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		_ = http.NewResponseController(w).Flush()
		<-finish
		_, _ = io.WriteString(w, "two\n")
	})
	resp, err := http.DefaultClient.Do(request(t, "GET", front(t, up.URL).URL+"/noetl/x", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out := bufio.NewReader(resp.Body)
	if line, err := out.ReadString('\n'); line != "one\n" || err != nil { // the answer has not ended yet
		t.Errorf("%q %v", line, err)
	}
	close(finish)
	if rest, err := io.ReadAll(out); string(rest) != "two\n" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}

func TestAClientThatGoesAwayEndsTheCall(t *testing.T) {
	ended := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := http.DefaultClient.Do(request(t, "GET", front(t, up.URL).URL+"/noetl/x", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = resp.Body.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("NoETL goes on for nobody")
	}
}

func TestAnAnswerThatBreaksOffLooksBroken(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := http.DefaultClient.Do(request(t, "GET", front(t, up.URL).URL+"/noetl/x", nil))
	if err != nil {
		return // it broke off before its head was sent on
	}
	defer func() { _ = resp.Body.Close() }()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half an answer passed for a whole one: %q", b)
	}
}

func TestLargeBodiesAreRefused(t *testing.T) {
	read := make(chan error, 2)
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		read <- err
	})
	srv := front(t, up.URL)
	send(
		t, "POST", srv.URL+"/noetl/x", strings.Repeat("x", maxBody+1), "Origin", origin,
	).refused(t, "by Content-Length", 413, "body_too_large")
	chunked := io.MultiReader(
		strings.NewReader(strings.Repeat("x", maxBody)),
		strings.NewReader("y"),
	) // of no known length
	got := do(t, request(t, "POST", srv.URL+"/noetl/x", chunked, "Origin", origin))
	got.refused(t, "chunked", 413, "body_too_large")
	if got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Error("no CORS header")
	}
	if err := <-read; err == nil {
		t.Error("NoETL took the cut body for a whole one")
	}
	if got := send(t, "POST", srv.URL+"/noetl/x", strings.Repeat("x", maxBody)); got.status != 200 || <-read != nil {
		t.Errorf("exactly the limit: %d %s", got.status, got.body)
	}
}

func TestAnUnreachableNoETL(t *testing.T) {
	up := upstream(t, func(http.ResponseWriter, *http.Request) {})
	address := up.URL
	up.Close()
	got := send(t, "GET", front(t, address).URL+"/noetl/x", "", "Origin", origin)
	got.refused(t, "down", 502, "noetl_unreachable")
	if !strings.Contains(got.body, `"error":"Proxy request failed: `) || strings.Contains(got.body, "127.0.0.1") ||
		got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("%s %v", got.body, got.header)
	}
}

func TestASilentNoETL(t *testing.T) {
	release := make(chan struct{})
	up := upstream(t, func(http.ResponseWriter, *http.Request) { <-release })
	srv := front(t, up.URL, func(c *proxy.Config) {
		c.Transport = noetl.Transport(telemetry.Nop("test"), noetl.WithHeaderTimeout(50*time.Millisecond))
	})
	got := send(t, "GET", srv.URL+"/noetl/x", "")
	close(release)
	got.refused(t, "silent", 504, "noetl_timeout")
}

func TestMethods(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) })
	srv := front(t, up.URL)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if got := send(t, method, srv.URL+"/noetl/x", ""); got.status != 200 || got.body != method {
			t.Errorf("%s: %d %s", method, got.status, got.body)
		}
	}
	for _, method := range []string{"TRACE", "PROPFIND", "get"} {
		got := send(t, method, srv.URL+"/noetl/x", "")
		if got.refused(t, method, 405, "method_not_allowed"); got.header.Get(
			"Allow",
		) != "GET, POST, PUT, PATCH, DELETE" {
			t.Errorf("%s: Allow %q", method, got.header.Get("Allow"))
		}
	}
}

// handshake sends an upgrade and returns the connection and what was answered.
func handshake(t *testing.T, address, protocol string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = fmt.Fprintf(
		conn,
		"GET /noetl/ws HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\nConnection: Upgrade, "+
			"HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: x\r\nSec-WebSocket-Key: a2V5\r\n"+
			"Sec-WebSocket-Protocol: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
		token, protocol, token,
	)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, in, resp
}

// switching is a server that speaks every protocol it is asked for: it answers lines in upper case.
func switching(t *testing.T) (address string, seen chan *http.Request) {
	t.Helper()
	seen = make(chan *http.Request, 1)
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(
			conn,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: yes\r\n"+
				"Set-Cookie: a=b\r\nServer: up\r\n\r\n",
			r.Header.Get("Upgrade"),
		)
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, strings.ToUpper(line))
	})
	return up.URL, seen
}

func TestAWebSocketPasses(t *testing.T) {
	address, seen := switching(t)
	conn, in, resp := handshake(t, front(t, address).URL, "websocket")
	defer func() { _ = resp.Body.Close() }()
	r := <-seen
	if r.Header.Get("Sec-Websocket-Key") != "a2V5" || r.Header.Get("X-User-Id") != "7" ||
		r.Header.Get("Sec-Websocket-Protocol") != "" ||
		r.Header.Get("Http2-Settings") != "" {
		t.Errorf("NoETL saw %v", r.Header)
	}
	if resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Accept") != "yes" ||
		resp.Header.Get("Set-Cookie") != "" ||
		resp.Header.Get("Server") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := in.ReadString('\n'); line != "HELLO\n" {
		t.Errorf("%q %v", line, err)
	}
}

// Behind an upgrade to h2c a client would talk to NoETL past all checks.
func TestNoOtherProtocolIsTunnelled(t *testing.T) {
	address, seen := switching(t)
	srv := front(t, address)
	for _, protocol := range []string{"h2c", "websocket, h2c", "h2c, websocket", "tls/1.0", "\u212aebsocket"} {
		_, _, resp := handshake(t, srv.URL, protocol)
		_ = resp.Body.Close()
		if resp.StatusCode == 101 {
			t.Errorf("%s: tunnelled", protocol)
			continue
		}
		if r := <-seen; r.Header.Get("Upgrade") != "" || r.Header.Get("Connection") == "Upgrade" {
			t.Errorf("%s: NoETL saw %v", protocol, r.Header)
		}
	}
}

// What the client breaks is the client's fault, and must not look like an outage of NoETL.
func TestABodyThatBreaksIsTheClients(t *testing.T) {
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(front(t, up.URL).URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(
		conn,
		"POST /noetl/x HTTP/1.1\r\nHost: x\r\nAuthorization: "+
			"Bearer "+token+"\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
	)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
}
