package graphql_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

// unread waits until the server has closed, without an answer to anything.
func (s *socket) unread() {
	s.t.Helper()
	_, err := io.Copy(io.Discard, s.NetConn())
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // net's own
		s.t.Fatal("it was not cut off")
	}
}

func TestAPeerThatAnswersNothingIsCutOff(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	often := limits(func(l *graphql.SocketLimits) { l.Ping = 100 * time.Millisecond })
	s := begin(t, newAPI(frames(until(ended)), often))
	began := time.Now()
	s.subscribe("1", subscription)
	s.next()
	s.unread()
	<-ended
	if took := time.Since(began); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAPeerThatAnswersPingsStays(t *testing.T) {
	t.Parallel()
	s := begin(t, newAPI(limits(func(l *graphql.SocketLimits) { l.Ping = 250 * time.Millisecond })))
	pings := 0
	answer := s.PingHandler()
	s.SetPingHandler(func(data string) error {
		if pings++; pings == 5 { // it would not have lived for so long without an answer
			s.subscribe("1", "{health}")
		}
		return answer(data)
	})
	s.want(`{"id":"1","type":"next","payload":{"data":{"health":"ok"}}}`, `{"id":"1","type":"complete"}`)
}

// A message that has begun must come to its end, and pings in between are no excuse.
func TestAMessageThatDripsIsCutOff(t *testing.T) {
	t.Parallel()
	s := begin(t, newAPI(limits(func(l *graphql.SocketLimits) { l.MessageTime = 200 * time.Millisecond })))
	if _, err := s.NetConn().Write([]byte{0x01, 0x81, 0, 0, 0, 0, '{'}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = s.NetConn().Write([]byte{0x89, 0x80, 0, 0, 0, 0}) // it may be cut off already
			case <-stop:
				return
			}
		}
	}()
	s.unread()
}

// A client that takes nothing is cut off, and its subscription takes no more frames than fit the
// queue and the buffers of TCP.
func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
	t.Parallel()
	const size = 64 << 10
	var taken atomic.Int64
	ended := make(chan struct{})
	source := func(ctx context.Context, _ edge.FramesRequest) (<-chan edge.Frame, error) {
		out := make(chan edge.Frame)
		go func() {
			defer close(ended)
			defer close(out)
			for {
				select {
				case out <- edge.Frame{Method: "ping", Params: strings.Repeat("x", size)}:
					taken.Add(size)
				case <-ctx.Done():
					return
				}
			}
		}()
		return out, nil
	}
	s := begin(t, newAPI(frames(source), limits(func(l *graphql.SocketLimits) { l.Write = 300 * time.Millisecond })))
	if tcp, ok := s.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	s.subscribe("1", "subscription{frames{params}}")
	<-ended
	if n := taken.Load(); n > 32<<20 {
		t.Errorf("%d bytes were taken for a client that reads nothing", n)
	}
}

// One that is slow and reads gets everything, in order.
func TestALargeAnswerToASlowClient(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	s := begin(t, newAPI(func(d *graphql.Deps) {
		d.WebSocket.Limits.Write, d.WebSocket.Limits.QueueBytes = 2*time.Second, 1<<10
		d.Proxy = func(context.Context, edge.Caller, string, string, any, func(int) error) (int, []byte, error) {
			return 200, []byte(strings.Repeat("x", size)), nil
		}
	}))
	for _, id := range []string{"1", "2"} {
		s.subscribe(id, `mutation{proxyRequest(input:{method:"GET",endpoint:"/api/text"}){data}}`)
	}
	seen := map[string]int{}
	for range 4 {
		got := s.next()
		seen[got[:len(`{"id":"1","type":"next"`)]] = len(got)
	}
	for _, id := range []string{"1", "2"} {
		if n := seen[`{"id":"`+id+`","type":"next"`]; n < size {
			t.Errorf("%s: %d bytes of %v", id, n, seen)
		}
	}
}

// A client that sends too much is read more slowly, and not refused.
func TestReadingIsPaced(t *testing.T) {
	t.Parallel()
	const perSecond = 1 << 10
	s := begin(t, newAPI(limits(func(l *graphql.SocketLimits) {
		l.MessageBytes, l.BytesPerMinute = 8<<10, 60*perSecond
	})))
	payload := `"` + strings.Repeat("x", 63*perSecond/8) + `"`
	began := time.Now()
	for range 8 { // 63 times perSecond, of which 60 may come in one go
		s.ping(payload)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAMessageOfTheLargestSize(t *testing.T) {
	t.Parallel()
	s := begin(t, newAPI())
	const frame = `{"type":"ping","payload":{"n":""}}`
	s.ping(`"` + strings.Repeat("x", 1<<20-len(frame)) + `"`)
	if err := s.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 1<<20+1))); err != nil {
		t.Log(err) // it may be closed already
	}
	s.closedWith(1009, "")
}
