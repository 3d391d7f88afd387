package h2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

const patience = 45 * time.Second

// client is Go's HTTP client, which speaks one version of HTTP and trusts one certificate.
type client struct {
	*http.Client
	major int
}

func newClient(t *testing.T, roots *x509.CertPool, major int) client {
	t.Helper()
	protocols := &http.Protocols{}
	protocols.SetHTTP2(major == 2)
	protocols.SetHTTP1(major == 1)
	transport := &http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return client{&http.Client{Transport: transport}, major}
}

// open sends a request and returns its answer, whose version is checked.
func (c client) open(ctx context.Context, t *testing.T, method, target, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	if resp.ProtoMajor != c.major {
		t.Errorf("%s %s was answered in %s", method, target, resp.Proto)
	}
	return resp
}

func (c client) send(t *testing.T, method, target, body string, headers ...string) testkit.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp := c.open(ctx, t, method, target, body, headers...)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.Answer{Code: resp.StatusCode, Header: resp.Header, Body: strings.TrimSpace(string(text))}
}

func (c client) get(t *testing.T, target string, headers ...string) testkit.Answer {
	t.Helper()
	return c.send(t, http.MethodGet, target, "", headers...)
}

func (c client) login(t *testing.T, p *stack.Proc) string {
	t.Helper()
	a := c.send(
		t, http.MethodPost, p.Ready.Public+"/api/auth/login",
		`{"auth0_token":"`+stack.IDToken(t, p.Ready.Issuer, "demo@example.com")+`"}`,
	)
	session := testkit.Decode[struct {
		Token string `json:"session_token"`
	}](t, a).Token
	if a.Code != http.StatusOK || session == "" {
		t.Fatalf("login: %d %s", a.Code, a.Body)
	}
	return session
}

func (c client) execute(t *testing.T, public, session, id, name, variables string) stack.Started {
	t.Helper()
	a := c.send(
		t, http.MethodPost, public+"/graphql", stack.ExecuteBody(id, name, variables), "Authorization",
		"Bearer "+session,
	)
	started := testkit.Decode[struct {
		Data struct{ ExecutePlaybook stack.Started }
	}](t, a).Data.ExecutePlaybook
	if a.Code != http.StatusOK || started.ExecutionID == "" {
		t.Fatalf("graphql: %d %s", a.Code, a.Body)
	}
	return started
}

// stream is an open event stream.
type stream struct {
	events chan testkit.Event
	close  func()
}

func (c client) events(t *testing.T, public, session string, query url.Values, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	resp := c.open( //nolint:bodyclose // the reader below closes it
		ctx,
		t,
		http.MethodGet,
		public+"/events?"+query.Encode(),
		"",
		append(headers, "Authorization", "Bearer "+session)...)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("events: %d %v", resp.StatusCode, resp.Header)
	}
	s := &stream{events: make(chan testkit.Event, 256), close: cancel}
	t.Cleanup(cancel)
	go func() {
		defer func() { _ = resp.Body.Close() }()
		testkit.ReadEvents(resp.Body, s.events)
	}()
	return s
}

func (s *stream) next(t *testing.T) testkit.Event {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case e := <-s.events:
			if e.Name != "ping" {
				return e
			}
		case <-timeout.C:
			t.Fatal("no event")
		}
	}
}

func (s *stream) clientID(t *testing.T) string {
	t.Helper()
	e := s.next(t)
	var m struct{ Result struct{ ClientID string } }
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil || e.Name != "message" || m.Result.ClientID == "" {
		t.Fatalf("first frame %+v: %v", e, err)
	}
	return m.Result.ClientID
}

// until collects events up to the result, or until there are n.
func (s *stream) until(t *testing.T, n int) []testkit.Event {
	t.Helper()
	var all []testkit.Event
	for {
		e := s.next(t)
		if e.Error != nil {
			t.Fatalf("the stream ended after %s: %v", testkit.Names(all), e.Error)
		}
		if all = append(all, e); e.Name == "playbook/result" || len(all) == n {
			return all
		}
	}
}

// One connection carries everything concurrently; over HTTP/1.1 with TLS the same comes.
func TestEverythingWorksOverTLS(t *testing.T) {
	t.Parallel()
	cert := issue(t)
	p := stack.Standalone(t, cert.settings()...)
	public := p.Ready.Public
	if !strings.HasPrefix(public, "https://") {
		t.Fatalf("the ready line says %s", public)
	}
	for _, major := range []int{2, 1} {
		t.Run(fmt.Sprintf("HTTP %d", major), func(t *testing.T) {
			t.Parallel()
			c := newClient(t, cert.roots, major)
			session := c.login(t, p)
			bearer := []string{"Authorization", "Bearer " + session}

			// The proxy, both ways, and its refusal.
			large := `{"text":"` + strings.Repeat("x", 1<<20) + `"}`
			if a := c.send(
				t,
				http.MethodPost,
				public+"/noetl/echo/x?y=1",
				large,
				bearer...); a.Code != http.StatusOK || !strings.Contains(a.Body, `"path":"/api/echo/x"`) ||
				len(a.Body) < 1<<20 {
				t.Errorf("proxy: %d, %d bytes: %.200s", a.Code, len(a.Body), a.Body)
			}
			if a := c.get(t, public+"/noetl/echo"); a.Code != http.StatusUnauthorized ||
				!strings.Contains(a.Body, `"error":"`) {
				t.Errorf("no session: %d %s", a.Code, a.Body)
			}

			// The stream, while GraphQL is asked beside it.
			s := c.events(t, public, session, nil)
			id := s.clientID(t)
			started := c.execute(t, public, session, id, "demo/progress", `{"step_ms":60}`)
			seen := s.until(t, 4)
			s.close()
			again := c.events(t, public, session, url.Values{"client_id": {id}}, "Last-Event-ID", seen[3].ID)
			if got := again.clientID(t); got != id {
				t.Errorf("it came again as %s, want %s", got, id)
			}
			all := append(seen, again.until(t, 0)...)
			ids := map[string]bool{}
			for _, e := range all {
				if ids[e.ID] || e.ID == "" || !strings.Contains(e.Data, started.ExecutionID) {
					t.Errorf("a frame without an id, or twice, or of something else: %+v", e)
				}
				ids[e.ID] = true
			}
			if last := all[len(all)-1]; len(all) != framesOfProgress || last.Name != "playbook/result" ||
				!strings.Contains(last.Data, started.RequestID) {
				t.Errorf("%d frames: %s", len(all), testkit.Names(all))
			}

			// Its end: the frame first, then a proper end of the answer.
			if a := c.send(
				t,
				http.MethodPost,
				public+"/api/auth/logout",
				"",
				bearer...); a.Code != http.StatusNoContent {
				t.Fatalf("logout: %d %s", a.Code, a.Body)
			}
			if e := again.next(t); e.Name != "session/expired" {
				t.Errorf("%+v, want session/expired", e)
			}
			if e := again.next(t); e.Error != io.EOF { //nolint:errorlint // a proper end is not wrapped
				t.Errorf("the stream ended with %v, want a proper end", e.Error)
			}
		})
	}
}

// framesOfProgress is what demo/progress sends: step.enter, progress and step.exit of five steps, its end and
// its result.
const framesOfProgress = 5*3 + 2

// Slow readers of one connection do not hold up each other: streams of HTTP/2 have windows.
func TestManyStreamsShareOneConnection(t *testing.T) {
	t.Parallel()
	cert := issue(t)
	p := stack.Standalone(t, cert.settings()...)
	c := newClient(t, cert.roots, 2)
	session := c.login(t, p)
	streams := make([]*stream, 10)
	started := make([]stack.Started, len(streams))
	for i := range streams {
		streams[i] = c.events(t, p.Ready.Public, session, nil)
		started[i] = c.execute(t, p.Ready.Public, session, streams[i].clientID(t), "demo/progress", `{"step_ms":20}`)
	}
	for i, s := range streams {
		all := s.until(t, 0)
		if last := all[len(all)-1]; len(all) != framesOfProgress || !strings.Contains(last.Data, started[i].RequestID) {
			t.Errorf("stream %d: %s", i, testkit.Names(all))
		}
	}
}

func TestWebSocketsWorkOverTLS(t *testing.T) {
	t.Parallel()
	cert := issue(t)
	p := stack.Standalone(t, cert.settings()...)
	c := newClient(t, cert.roots, 1)
	session := c.login(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial( //nolint:bodyclose // the library closes it
		ctx,
		strings.Replace(p.Ready.Public, "https://", "wss://", 1)+"/ws",
		&websocket.DialOptions{
			HTTPClient: c.Client, HTTPHeader: http.Header{"Authorization": {"Bearer " + session}},
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	if err := ws.Write(
		ctx,
		websocket.MessageText,
		[]byte(
			`{"jsonrpc":"2.0","id":7,"method":"playbook/execute","params":{"name":"demo/echo","variables":{"n":1}}}`,
		),
	); err != nil {
		t.Fatal(err)
	}
	for answered, finished := false, false; !answered || !finished; {
		_, text, err := ws.Read(ctx)
		if err != nil {
			t.Fatalf("answered %v, finished %v: %v", answered, finished, err)
		}
		answered = answered || strings.Contains(string(text), `"id":7,"result":{"requestId":"`)
		finished = finished || strings.Contains(string(text), `"method":"playbook/result"`)
	}
	// Over HTTP/2 there are none, and that is said.
	if a := newClient(
		t, cert.roots, 2,
	).get(t, p.Ready.Public+"/ws", "X-Session-Token", session); a.Code != http.StatusUpgradeRequired {
		t.Errorf("/ws over HTTP/2: %d %s", a.Code, a.Body)
	}
}

func TestARenewedCertificateIsServed(t *testing.T) {
	t.Parallel()
	old := issue(t)
	p := stack.Standalone(t, old.settings()...)
	first := newClient(t, old.roots, 2)
	s := first.events(t, p.Ready.Public, first.login(t, p), nil)
	s.clientID(t)

	// Halfway through, the certificate and the key do not fit: the old one goes on.
	next := old.renew(t, 2)
	next.writeCert(t)
	testkit.Eventually(t, "the gateway looks at the files", func() bool {
		if serial, err := serialOf(p.Ready.Public, old.roots); err != nil || serial.Int64() != 1 {
			t.Fatalf("halfway the certificate %v is served: %v", serial, err)
		}
		return strings.Contains(p.Logs(), "the new TLS certificate cannot be used")
	})
	next.writeKey(t)
	testkit.Eventually(t, "the new certificate is served", func() bool {
		serial, err := serialOf(p.Ready.Public, next.roots)
		return err == nil && serial.Int64() == 2
	})
	if _, err := serialOf(p.Ready.Public, old.roots); err == nil {
		t.Error("the old certificate is served too")
	}
	// Nothing that was open has noticed.
	if a := first.get(t, p.Ready.Public+"/health"); a.Code != http.StatusOK {
		t.Errorf("the connection from before: %d", a.Code)
	}
	for len(s.events) > 0 {
		if e := <-s.events; e.Name != "ping" {
			t.Errorf("the stream from before got %+v", e)
		}
	}
	if a := newClient(t, next.roots, 2).get(t, p.Ready.Public+"/health"); a.Code != http.StatusOK || a.Body != "ok" {
		t.Errorf("a new connection: %d %s", a.Code, a.Body)
	}
}

// serialOf makes a handshake and returns the serial number of the certificate.
func serialOf(base string, roots *x509.CertPool) (*big.Int, error) {
	c, err := tls.Dial( //nolint:noctx // loopback
		"tcp",
		strings.TrimPrefix(base, "https://"),
		&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}},
	)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber, nil
}
