package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/httpkit/relay"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// streams is a public listener in front of an event-fanout of the test.
type streams struct {
	handler  http.Handler
	url      string // of the listener
	relay    *relay.Relay
	handlers atomic.Int32 // that have not returned
	drain    func()
	stop     func()
}

// openStreams serves the streams of an event-fanout; limit bounds how many connections there may be.
func openStreams(t *testing.T, fanout http.HandlerFunc, limit int) *streams {
	t.Helper()
	return streamsTo(t, upstream(t, fanout).URL, limit)
}

func streamsTo(t *testing.T, address string, limit int) *streams {
	t.Helper()
	r, err := relay.New()
	if err != nil {
		t.Fatal(err)
	}
	s, tel := &streams{relay: r}, telemetry.Nop("test")
	closing, drain := context.WithCancel(t.Context())
	s.drain = drain
	context.AfterFunc(closing, r.End)
	usual := &http.Transport{}
	t.Cleanup(usual.CloseIdleConnections)
	next := proxy.WaitForRestart{For: time.Millisecond, Next: proxy.Streams{
		Relay: r, Next: usual, Dial: tel.Transport(proxy.StreamTransport{DialContext: (&net.Dialer{}).DialContext}),
	}}
	forward := proxy.EndWith(closing, proxy.Forward(parse(t, address), nil, next, "event-fanout", quiet()))
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handlers.Add(1)
		defer s.handlers.Add(-1)
		forward.ServeHTTP(w, r)
	})
	s.handler = httpkit.Edge(tel, weborigin.New(weborigin.Config{Origins: []string{origin}}, "GET").Wrap(counted))
	bounds, err := httpkit.NewBounds(httpkit.BoundsConfig{
		Bodies: 1 << 20, BodiesPerAddress: 1 << 20, Connections: limit, ConnectionsPerAddress: limit,
	}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "ROUTER_PORT")
	if err != nil {
		t.Fatal(err)
	}
	s.url = httpkit.URL(ln)
	server := httpkit.NewServer("public listener", ln, s.handler, quiet(), drain).Within(bounds, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- server.Run(ctx) }()
	go func() { ended <- r.Run(ctx) }()
	s.stop = func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		ended <- nil
		ended <- nil
	}
	t.Cleanup(s.stop)
	return s
}

// dial opens a connection and sends what is given.
func (s *streams) dial(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *streams) handedOver(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, "the streams are handed over", func() bool {
		return s.relay.Len() == n && s.handlers.Load() == 0
	})
}

const getEvents = "GET /events?client_id=c1 HTTP/1.1\r\nHost: gateway\r\nOrigin: " + origin + "\r\n\r\n"

// eventStream answers with a head and a first event, then with what comes, until it closes.
func eventStream(more <-chan string, gone chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("X-Request-Id", "theirs")
		_, _ = io.WriteString(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case text, open := <-more:
				if !open {
					return
				}
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				gone <- struct{}{}
				return
			}
		}
	}
}

func TestAnOpenStreamHasNoHandler(t *testing.T) {
	t.Parallel()
	more, gone := make(chan string), make(chan struct{}, 1)
	s := openStreams(t, eventStream(more, gone), 100)
	c := s.dial(t, getEvents+"bytes that nobody asked for")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) // it speaks chunks, as this event-fanout does
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	events := bufio.NewReader(resp.Body)
	hear := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(events, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	hear("data: first\n\n")
	if resp.StatusCode != 200 || !resp.Close || resp.Header.Get("Access-Control-Allow-Origin") != origin ||
		resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("X-Request-Id") == "theirs" ||
		resp.Header.Get("Date") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	s.handedOver(t, 1)
	more <- "data: second\n\n"
	hear("data: second\n\n")
	_ = c.Close()
	<-gone
	s.handedOver(t, 0)
}

func TestAStreamEndsWithTheOneBehindIt(t *testing.T) {
	t.Parallel()
	more := make(chan string)
	s := openStreams(t, eventStream(more, make(chan struct{}, 1)), 100)
	c := s.dial(t, getEvents)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	s.handedOver(t, 1)
	more <- "data: last\n\n"
	close(more)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "data: first\n\ndata: last\n\n" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestDrainEndsStreamsThatWereHandedOver(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 1)
	s := openStreams(t, eventStream(nil, gone), 100)
	c := s.dial(t, getEvents)
	s.handedOver(t, 1)
	s.stop()
	<-gone
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the client's connection has not ended")
	}
}

func TestStreamsThatWereHandedOverCountAsConnections(t *testing.T) {
	t.Parallel()
	s := openStreams(t, eventStream(nil, make(chan struct{}, 100)), 1)
	c := s.dial(t, getEvents)
	s.handedOver(t, 1)
	second := func() error {
		other, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			return err
		}
		defer func() { _ = other.Close() }()
		_ = other.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(other, getEvents)
		_, err = bufio.NewReader(other).ReadString('\n')
		return err
	}
	if second() == nil {
		t.Fatal("one more connection than may be")
	}
	_ = c.Close()
	testkit.Eventually(t, "the place is free again", func() bool { return second() == nil })
}

func TestARefusedStreamIsAnAnswerAsAnyOther(t *testing.T) {
	t.Parallel()
	s := openStreams(t, func(w http.ResponseWriter, _ *http.Request) {
		httpkit.WriteJSON(w, http.StatusUnauthorized, httpkit.ErrorBody{Error: "no", Code: "invalid_session"})
	}, 100)
	for range 2 { // on one connection
		send(t, "GET", s.url+"/events", "").refused(t, "a stream", 401, "invalid_session")
	}
	gone := streamsTo(t, "http://127.0.0.1:1", 100)
	send(t, "GET", gone.url+"/events", "").refused(t, "nobody there", 503, "event-fanout_unavailable")
}

// What cannot be handed over goes the usual way.
func TestStreamsThatKeepTheirHandler(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proto   int
		tls     bool
		request string
	}{
		"TLS":      {proto: 1, tls: true},
		"HTTP/2":   {proto: 2, tls: true},
		"HTTP/1.0": {request: "GET /events HTTP/1.0\r\n\r\n"},
		"a body":   {request: "GET /events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{}, 1)
			s := openStreams(t, eventStream(nil, gone), 100)
			var events io.Reader
			var end func()
			if c.tls {
				srv := httptest.NewUnstartedServer(s.handler)
				srv.EnableHTTP2 = c.proto == 2
				srv.StartTLS()
				t.Cleanup(srv.Close)
				ctx, cancel := context.WithCancel(t.Context())
				resp, err := srv.Client().Do(request(t, "GET", srv.URL+"/events", nil).WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = resp.Body.Close() }()
				if resp.ProtoMajor != c.proto {
					t.Fatal(resp.Proto)
				}
				events, end = resp.Body, cancel
			} else {
				conn := s.dial(t, c.request)
				events, end = conn, func() { _ = conn.Close() }
			}
			for lines := bufio.NewReader(events); ; {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if line == "data: first\n" {
					break
				}
			}
			if s.relay.Len() != 0 || s.handlers.Load() != 1 {
				t.Errorf("%d handed over, %d handlers", s.relay.Len(), s.handlers.Load())
			}
			end()
			<-gone
		})
	}
}

func TestAWebSocketIsHandedOver(t *testing.T) {
	t.Parallel()
	s := openStreams(t, func(w http.ResponseWriter, r *http.Request) {
		up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for {
			kind, text, err := c.ReadMessage()
			if err != nil {
				return
			}
			_ = c.WriteMessage(kind, text)
		}
	}, 100)
	c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer func() { _ = c.Close() }()
	s.handedOver(t, 1)
	for _, text := range []string{"short", strings.Repeat("long", 100_000)} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != text {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	end := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.WriteControl(websocket.CloseMessage, end, time.Now().Add(time.Second))
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the end of the socket: %v", err)
	}
	_ = c.Close()
	s.handedOver(t, 0)
}

// A client may send its first message with the head of its request, and so may the server with its own.
func TestWhatComesWithTheHeadsIsPassedOn(t *testing.T) {
	t.Parallel()
	ln, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	heard := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(
			c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome",
		)
		early := make([]byte, len("early"))
		_, _ = io.ReadFull(r, early)
		heard <- string(early)
	}()
	s := streamsTo(t, httpkit.URL(ln), 100)
	c := s.dial(t, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") ||
		!strings.HasSuffix(string(answer), "\r\n\r\nwelcome") {
		t.Errorf("%q, %v", answer, err)
	}
	if got := <-heard; got != "early" {
		t.Errorf("the upstream got %q", got)
	}
}

func TestAStreamThatIsNotReadIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the ten seconds that a client may read nothing")
	}
	t.Parallel()
	gone := make(chan struct{}, 1)
	s := openStreams(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		block := make([]byte, 1<<20)
		for {
			if _, err := w.Write(block); err != nil {
				close(gone)
				return
			}
		}
	}, 100)
	s.dial(t, getEvents)
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("the stream goes on")
	}
}
