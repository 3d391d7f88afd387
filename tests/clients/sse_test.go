package clients_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// eventClients are the clients of GET /events, and how each says who it is.
var eventClients = []struct {
	name      string
	sessionIn string // query or header
	again     string // what it says about a stream that ended and that it opens again
}{{"eventsource", "query", "error"}, {"fetch_event_source", "header", "again"}}

// listen starts a client of event streams.
func listen(t *testing.T, name, sessionIn, base, session string, query url.Values) *script {
	t.Helper()
	if query == nil {
		query = url.Values{}
	}
	if sessionIn == "query" {
		query.Set("session_token", session)
		return start(t, name, base+"/events?"+query.Encode())
	}
	return start(t, name, base+"/events?"+query.Encode(), "TOKEN="+session)
}

// follow runs demo/progress for a client and takes its frames until the result. At the frame
// number cutAt it breaks the line; the client must come again by itself, with the last id.
func follow(t *testing.T, s *script, again string, w *stack.Wire, public, session, client string, cutAt int) {
	t.Helper()
	started := stack.Execute(t, public, session, client, "demo/progress", `{"step_ms":200}`)
	var r run
	cut := false
	for r.result == nil {
		line := s.next(t)
		switch {
		case line.Kind == "event":
			r.take(t, line, started)
			if r.frames == cutAt {
				w.Cut()
				cut = true
			}
		case cut && line.Kind == again && !line.Closed:
			if line := s.want(t, "request"); line.ID != r.last {
				t.Errorf("it came again with the id %q, want %q", line.ID, r.last)
			}
			s.want(t, "open")
			if got := firstFrame(t, s.want(t, "event")); got != client {
				t.Errorf("it came again and is %s, want %s", got, client)
			}
			cut = false
		default:
			t.Fatalf("%s said %+v (%s)", s.name, line, line.Data)
		}
	}
	if cut {
		t.Error("the client never came again")
	}
	r.complete(t)
}

func TestEventStreamClientsGetEveryFrame(t *testing.T) {
	t.Parallel()
	for _, c := range eventClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t)
			w := stack.NewWire(t, p.Ready.Public)
			session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")

			s := listen(t, c.name, c.sessionIn, w.URL, session, nil)
			if line := s.want(t, "request"); line.ID != "" {
				t.Errorf("the first request has the id %q", line.ID)
			}
			s.want(t, "open")
			client := firstFrame(t, s.want(t, "event"))
			follow(t, s, c.again, w, p.Ready.Public, session, client, 0)

			// Whoever knows its id comes back as the same client, and gets nothing twice.
			back := listen(t, c.name, c.sessionIn, w.URL, session, url.Values{"client_id": {client}})
			back.want(t, "request")
			back.want(t, "open")
			if got := firstFrame(t, back.want(t, "event")); got != client {
				t.Errorf("reattached as %s, want %s", got, client)
			}
			back.quiet(t, 200*time.Millisecond)
		})
	}
}

func TestEventStreamClientsComeBackAfterACut(t *testing.T) {
	t.Parallel()
	for _, c := range eventClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t)
			w := stack.NewWire(t, p.Ready.Public)
			session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
			s := listen(t, c.name, c.sessionIn, w.URL, session, url.Values{"client_id": {"tab-1"}})
			s.want(t, "request")
			s.want(t, "open")
			if got := firstFrame(t, s.want(t, "event")); got != "tab-1" {
				t.Fatalf("the client is %s", got)
			}
			follow(t, s, c.again, w, p.Ready.Public, session, "tab-1", 4)
			if n := w.Connections(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}
}

// A browser's EventSource comes again with the very URL it began with, so without the client id
// that the first frame gave it: Last-Event-ID alone must do.
func TestEventStreamClientsComeBackWithTheEventIDAlone(t *testing.T) {
	t.Parallel()
	for _, c := range eventClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t)
			w := stack.NewWire(t, p.Ready.Public)
			session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
			s := listen(t, c.name, c.sessionIn, w.URL, session, nil)
			s.want(t, "request")
			s.want(t, "open")
			client := firstFrame(t, s.want(t, "event"))
			follow(t, s, c.again, w, p.Ready.Public, session, client, 4)
		})
	}
}

// The same with separate processes, where the connection comes again at another replica.
func TestEventStreamClientsComeBackAtAnotherReplica(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	s := stack.StartSplit(t)
	session := stack.Login(t, s.Edge[0].Ready.Public, s.Sandbox.Ready.Issuer, "demo@example.com")
	for _, c := range eventClients {
		w := stack.NewWire(t, s.Edge[0].Ready.Public, s.Edge[1].Ready.Public)
		id := "tab-" + c.name
		events := listen(t, c.name, c.sessionIn, w.URL, session, url.Values{"client_id": {id}})
		events.want(t, "request")
		events.want(t, "open")
		if got := firstFrame(t, events.want(t, "event")); got != id {
			t.Fatalf("the client is %s", got)
		}
		follow(t, events, c.again, w, s.Edge[1].Ready.Public, session, id, 4)
	}
}

// A refusal is final for both: an EventSource fails the connection on any status but 200 and
// does not try again.
func TestEventStreamClientsDoNotComeAgainAfter401(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	for _, c := range eventClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, c.name, c.sessionIn, p.Ready.Public, "no-such-session", nil)
			s.want(t, "request")
			if line := s.want(t, "error"); line.Code != http.StatusUnauthorized || !line.Closed {
				t.Errorf("%+v, want a final 401", line)
			}
			if c.name == "fetch_event_source" {
				s.want(t, "failed")
			}
			s.quiet(t, 4*time.Second) // longer than an EventSource waits before it comes again
		})
	}
}

// A stream ends with its session, and the client is told why before.
func TestEventStreamClientsAreToldThatTheSessionEnded(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	for _, c := range eventClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
			s := listen(t, c.name, c.sessionIn, p.Ready.Public, session, nil)
			s.want(t, "request")
			s.want(t, "open")
			firstFrame(t, s.want(t, "event"))
			if a := testkit.Do(
				t, http.MethodPost, p.Ready.Public+"/api/auth/logout", nil, "Authorization", "Bearer "+session,
			); a.Code != http.StatusNoContent {
				t.Fatalf("logout: %d %s", a.Code, a.Body)
			}
			if line := s.want(t, "event"); line.Event != "session/expired" || line.ID != "" {
				t.Errorf("%+v, want session/expired", line)
			}
			// Both try once more, as after any end of a stream, and are refused for good.
			s.want(t, c.again)
			s.want(t, "request")
			if line := s.want(t, "error"); line.Code != http.StatusUnauthorized || !line.Closed {
				t.Errorf("%+v, want a final 401", line)
			}
		})
	}
}
