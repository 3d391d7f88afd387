package graphql_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

const subscription = "subscription{frames{method}}"

func TestASocketEndsWithItsSession(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	var end context.CancelFunc
	s := begin(t, newAPI(frames(until(ended)), func(d *graphql.Deps) {
		d.WebSocket.Authenticate = func(ctx context.Context, _ string) (live context.Context, err error) {
			live, end = context.WithCancel(ctx)
			return live, nil
		}
	}))
	s.subscribe("1", subscription)
	s.next()
	end()
	s.closedWith(4403, "Forbidden: the session has ended") // and no complete before it
	<-ended
}

// The stream may hear of the end before the socket does: no complete comes in between, which would tell
// the client that all is well.
func TestAStreamWhoseSessionExpiredIsNotComplete(t *testing.T) {
	t.Parallel()
	var end context.CancelFunc
	expired := func(context.Context, edge.FramesRequest) (<-chan edge.Frame, error) {
		out := make(chan edge.Frame, 1)
		out <- edge.Frame{Method: "session/expired"}
		close(out)
		return out, nil
	}
	s := begin(t, newAPI(frames(expired), func(d *graphql.Deps) {
		d.WebSocket.Authenticate = func(ctx context.Context, _ string) (live context.Context, err error) {
			live, end = context.WithCancel(ctx)
			return live, nil
		}
	}))
	s.subscribe("1", subscription)
	s.next()
	time.AfterFunc(200*time.Millisecond, end)
	s.closedWith(4403, "Forbidden: the session has ended")
}

func TestOperationsEndWithTheirSocket(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*socket){
		"a close frame": func(s *socket) {
			_ = s.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
			s.closedWith(1000, "")
		},
		"no word":      func(s *socket) { _ = s.Close() },
		"half a frame": func(s *socket) { _, _ = s.NetConn().Write([]byte{0x81}); _ = s.Close() },
		"a breach":     func(s *socket) { s.send("x"); s.closed() },
	} {
		ended := make(chan struct{}, 2)
		s := begin(t, newAPI(frames(until(ended))))
		for _, id := range []string{"1", "2"} {
			s.subscribe(id, subscription)
			s.next()
		}
		leave(s)
		for range 2 {
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: the subscription goes on", name)
			}
		}
	}
}

// A subscription is cut off, and not complete: its client subscribes again on its next connection.
func TestADrainEndsSockets(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	a := newAPI(frames(until(ended)))
	url := serve(t, a)
	quiet, _ := dial(t, url, nil, protocol)
	s, _ := dial(t, url, nil, protocol)
	s.send(initText)
	s.next()
	s.subscribe("1", subscription)
	s.next()
	done := make(chan struct{})
	go func() { defer close(done); a.Drain(t.Context()) }()
	for _, one := range []*socket{s, quiet} {
		one.closedWith(websocket.CloseServiceRestart, "the gateway restarts: connect again")
		_ = one.Close()
	}
	<-ended
	<-done
	if _, why := dial(t, url, nil, protocol); why.status != 503 || why.Code != "stopping" {
		t.Errorf("one that comes late: %+v", why)
	}
	a.Drain(t.Context()) // once more is harmless
}

// A client that hears nothing of its mutation cannot know whether it was done.
func TestADrainLetsMutationsFinish(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan struct{})
	a := newAPI(frames(until(nil)))
	a.noetl.During = func(context.Context) { close(begun); <-release }
	s := begin(t, a)
	s.subscribe("frames", subscription)
	s.next()
	s.subscribe("1", `mutation{executePlaybook(name:"demo/echo"){status}}`)
	<-begun
	go a.Drain(context.Background())
	late := 0
	testkit.Eventually(t, "nothing new is begun", func() bool {
		late++
		s.subscribe(fmt.Sprint("late", late), "{health}")
		return len(s.ping("1")) == 0
	})
	close(release)
	// What was begun shortly before the drain may be answered after the ping.
	for _, want := range []string{
		`{"id":"1","type":"next","payload":{"data":{"executePlaybook":{"status":"STARTED"}}}}`,
		`{"id":"1","type":"complete"}`,
	} {
		got := s.next()
		for strings.HasPrefix(got, `{"id":"late`) {
			got = s.next()
		}
		if got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
	s.closedWith(websocket.CloseServiceRestart, "the gateway restarts: connect again")
}

func TestADrainDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan struct{})
	a := newAPI(limits(func(l *graphql.SocketLimits) { l.Drain = 50 * time.Millisecond }))
	a.noetl.During = func(context.Context) { close(begun); <-release }
	defer close(release)
	s := begin(t, a)
	s.subscribe("1", `mutation{executePlaybook(name:"demo/echo"){status}}`)
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	a.Drain(ctx)
	s.closedWith(websocket.CloseServiceRestart, "the gateway restarts: connect again")
}

// Nothing is left of a socket, however it ended. This test does not run beside others, so that it
// sees its own goroutines alone.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	started := func(s *socket) {
		s.send(initText)
		s.want(`{"type":"connection_ack"}`)
		s.subscribe("1", subscription)
		s.next()
	}
	for name, do := range map[string]func(*api, *socket){
		"nothing is sent": func(_ *api, s *socket) { s.closed() },
		"it goes":         func(*api, *socket) {},
		"it is refused":   func(_ *api, s *socket) { s.send(`{"type":"connection_init"}`); s.closed() },
		"it does not wait": func(_ *api, s *socket) {
			s.send(`{"type":"connection_init","payload":{"session_token":"slow"}}`)
		},
		"something panics": func(_ *api, s *socket) {
			s.send(`{"type":"connection_init","payload":{"session_token":"panic"}}`)
			s.closed()
		},
		"it goes while it works": func(_ *api, s *socket) { started(s) },
		"it breaks the protocol": func(_ *api, s *socket) {
			started(s)
			s.send(initText)
			s.unread()
		},
		"it takes nothing": func(_ *api, s *socket) {
			started(s)
			s.unread()
		},
		"the process stops": func(a *api, s *socket) {
			started(s)
			a.Drain(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(tokens, frames(flood), limits(func(l *graphql.SocketLimits) {
				l.Init, l.Ping, l.Write = time.Second, time.Second, 200*time.Millisecond
			}))
			do(a, open(t, a))
		})
	}
	goleak.VerifyNone(t, before)
}
