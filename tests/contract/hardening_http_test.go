package contract_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// listener is one of the gateway's, with a route for each way in which it treats a body.
type listener struct {
	name    string
	url     string
	routes  []string // that take a POST
	headers string
}

// listeners are those of a split gateway, and the public one over TLS; their sizes are the defaults.
func listeners(t *testing.T) ([]listener, *x509.CertPool) {
	t.Helper()
	env, roots := stack.Certificate(t)
	rates := []string{"INGRESS_FAILURE_RATE_PER_MIN=0", "GATEWAY_LOGIN_RATE_ADDRESS_PER_MIN=0"}
	split := stack.StartSplit(t, append(rates, "GATEWAY_EXPOSE_INTERNAL=true")...)
	secure := stack.Standalone(t, append(env, rates...)...)
	token := stack.Login(t, split.Edge[0].Ready.Public, split.Sandbox.Ready.Issuer, "demo@example.com")
	session := "X-Session-Token: " + token + "\r\n"
	public := []string{
		"/noetl/echo/x", "/noetl/execute", "/noetl/nothing", "/graphql", "/api/auth/login", "/api/auth/validate",
		"/api/auth/revoke", "/api/auth/backchannel-logout", "/ingress/orders", "/ingress/none", "/events/ticket",
		"/events", "/nothing", "/api/internal/callback",
	}
	internal := []string{"/api/internal/callback", "/api/internal/callback/async", "/api/internal/progress", "/nothing"}
	return []listener{
		{"public", split.Edge[0].Ready.Public, public, session},
		{"public, nobody", split.Edge[0].Ready.Public, public, ""},
		{"public over TLS", secure.Ready.Public, public, ""},
		{"internal", split.Fanout[0].Ready.Internal, internal, ""},
		{"internal of one process", secure.Ready.Internal, internal, ""},
		{"streams", split.Fanout[0].Ready.Public, []string{"/events/ticket", "/events", "/ws", "/nothing"}, session},
		{"ingress", split.Ingress[0].Ready.Public, []string{"/ingress/orders", "/ingress/none", "/nothing"}, ""},
		{"admin", split.Edge[0].Ready.Admin, []string{"/metrics", "/readyz", "/nothing"}, ""},
	}, roots
}

// dial opens a connection to a listener, plain or over TLS.
func (l listener) dial(t *testing.T, roots *x509.CertPool) net.Conn {
	t.Helper()
	u, err := url.Parse(l.url)
	if err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	if u.Scheme == "https" {
		config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
		dialer := tls.Dialer{Config: config}
		conn, err = dialer.DialContext(t.Context(), "tcp", u.Host)
	} else {
		conn, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// What cannot be parsed as a body, or was not read, must not run as a request: the class of request smuggling. After
// each of these the connection ends with one answer, or without any.
func TestTheRestOfABodyIsNoRequestAnywhere(t *testing.T) {
	t.Parallel()
	all, roots := listeners(t)
	for what, body := range map[string]string{
		"bad chunk size":    "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"negative chunk":    "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
		"short chunk":       "Transfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n",
		"23 digits":         "Transfer-Encoding: chunked\r\n\r\n00000000000000000000001\r\nx\r\n0\r\n\r\n",
		"bad trailer":       "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nno trailer\r\n\r\n",
		"length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"not read":          fmt.Sprintf("Content-Length: %d\r\n\r\n", 12<<20),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var attacks sync.WaitGroup
			for _, l := range all {
				for _, route := range l.routes {
					attacks.Go(func() { l.smuggle(t, roots, route, body) })
				}
			}
			attacks.Wait()
		})
	}
}

func (l listener) smuggle(t *testing.T, roots *x509.CertPool, route, body string) {
	t.Helper()
	conn := l.dial(t, roots)
	defer func() { _ = conn.Close() }()
	text := "POST " + route + " HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n" + l.headers + body +
		"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
	if _, err := io.WriteString(conn, text); err != nil {
		t.Errorf("%s %s: %v", l.name, route, err)
		return
	}
	in := bufio.NewReader(conn)
	for n := 0; ; n++ {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			if strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s %s: the connection is still there", l.name, route)
			}
			return
		}
		answer, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if n > 0 {
			t.Errorf("%s %s: what followed ran as a request: %s %s", l.name, route, resp.Status, answer)
			return
		}
	}
}

// An answer that comes early reaches a client that writes its whole body before it reads, every time, on every route.
func TestAnEarlyAnswerReachesEveryClient(t *testing.T) {
	t.Parallel()
	all, roots := listeners(t)
	for _, l := range all {
		for _, route := range l.routes {
			t.Run(l.name+route, func(t *testing.T) {
				var clients sync.WaitGroup
				for range 10 {
					clients.Go(func() { l.sendsBeforeItReads(t, roots, route) })
				}
				clients.Wait()
			})
		}
	}
}

func (l listener) sendsBeforeItReads(t *testing.T, roots *x509.CertPool, route string) {
	t.Helper()
	const size = 11 << 20
	conn := l.dial(t, roots)
	defer func() { _ = conn.Close() }()
	const head = "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
	_, err := fmt.Fprintf(conn, head, route, l.headers, size)
	if err == nil {
		_, err = conn.Write(make([]byte, size))
	}
	if err != nil {
		t.Errorf("while sending: %v", err)
		return
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("there is no answer: %v", err)
		return
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode >= 500 || err != nil {
		t.Errorf("%s %s, %v", resp.Status, answer, err)
	}
}
