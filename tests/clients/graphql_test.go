package clients_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// audits is how many graphql-http 1.23.1 has; a new version may have more, never fewer.
const audits = 61

// Every audit of graphql-http must be ok: no error, no warning, and no notice either.
func TestGraphQLOverHTTPAudits(t *testing.T) {
	t.Parallel()
	needNode(t)
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	s := start(t, "audits", p.Ready.Public+"/graphql", "TOKEN="+session)
	ok := 0
	for {
		line := s.next(t)
		if line.Kind == "done" {
			if line.Code < audits || ok != line.Code {
				t.Errorf("%d of %d audits are ok, want all, and at least %d", ok, line.Code, audits)
			}
			return
		}
		if line.Kind != "audit" {
			t.Fatalf("%+v", line)
		}
		if line.Event == "ok" {
			ok++
		} else {
			t.Errorf("%s %s: %s (answered %d)", line.Event, line.ID, line.Text, line.Code)
		}
	}
}

// npm graphql-ws as a client of the subscription, with its own way to come again.
func TestGraphQLWSGetsEveryFrame(t *testing.T) {
	t.Parallel()
	needNode(t)
	p := stack.Standalone(t)
	w := newWire(t, p.Ready.Public)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	s := start(t, "graphql_ws", strings.Replace(w.URL, "http://", "ws://", 1)+"/graphql", "TOKEN="+session)
	s.want(t, "open")
	s.want(t, "request")
	client := firstFrame(t, s.want(t, "event"))
	for _, cutAt := range []int{0, 4} {
		started := stack.Execute(t, p.Ready.Public, session, client, "demo/progress", `{"step_ms":100}`)
		var r run
		for r.result == nil {
			line := s.next(t)
			switch line.Kind {
			case "event":
				r.take(t, line, started)
				if r.frames == cutAt {
					w.Cut()
				}
			case "close":
				s.want(t, "open")
				if line := s.want(t, "request"); line.ID != r.last {
					t.Errorf("it came again with the id %q, want %q", line.ID, r.last)
				}
				if got := firstFrame(t, s.want(t, "event")); got != client {
					t.Errorf("it came again and is %s, want %s", got, client)
				}
			default:
				t.Fatalf("%+v", line)
			}
		}
		r.complete(t)
	}
	if n := w.Connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// The protocol has 4403 for a refused connection_init. On 1000 this client would come again at
// once, without end.
func TestGraphQLWSIsRefusedWithoutASession(t *testing.T) {
	t.Parallel()
	needNode(t)
	p := stack.Standalone(t)
	target := strings.Replace(p.Ready.Public, "http://", "ws://", 1) + "/graphql"
	for _, session := range []string{"", "nobody"} {
		s := start(t, "graphql_ws", target, "TOKEN="+session)
		closes := 0
		line := s.next(t)
		for ; line.Kind == "close"; line = s.next(t) {
			if closes++; line.Code != 4403 || closes > 6 {
				t.Fatalf("session %q: closed for the time %d with %d %s, want 4403", session, closes, line.Code, line.Text)
			}
		}
		if line.Kind != "failed" || closes == 0 {
			t.Errorf("session %q: after %d tries it said %+v", session, closes, line)
		}
	}
}
