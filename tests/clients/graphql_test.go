package clients_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// audits is how many graphql-http 1.23.1 has; a new version may have more, never fewer.
const audits = 61

// Every audit of graphql-http must be ok: no error, no warning, and no notice either.
func TestGraphQLOverHTTPAudits(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
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
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	w := stack.NewWire(t, p.Ready.Public)
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

// The protocol has 4403 for a refused connection_init. On 1000 this client would come again
// immediately, without end.
func TestGraphQLWSIsRefusedWithoutASession(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	target := socketURL(p)
	for _, session := range []string{"", "nobody"} {
		s := start(t, "graphql_ws", target, "TOKEN="+session)
		closes := 0
		line := s.next(t)
		for ; line.Kind == "close"; line = s.next(t) {
			if closes++; line.Code != 4403 || closes > 6 {
				t.Fatalf(
					"session %q: closed for the time %d with %d %s, want 4403", session, closes, line.Code,
					line.Text,
				)
			}
		}
		if line.Kind != "failed" || closes == 0 {
			t.Errorf("session %q: after %d tries it said %+v", session, closes, line)
		}
	}
}

func socketURL(p *stack.Proc) string {
	return strings.Replace(p.Ready.Public, "http://", "ws://", 1) + "/graphql"
}

// Each close code of the protocol, as this client names it. It gives up after those that it takes
// for defects of its own, and tries again after the others.
func TestGraphQLWSSeesTheCloseCodes(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	const (
		subscribe = `{"id":"x","type":"subscribe","payload":{"query":"subscription{frames{id}}"}}`
		begin     = `{"type":"connection_init"}`
		badType   = "Invalid message: type must be one that a client sends"
	)
	for name, c := range map[string]struct {
		env  string   // what happens before the connection is acknowledged
		send []string // and after it
		code int
		text string
	}{
		"BadRequest":                      {"", []string{`{"type":"start"}`}, 4400, badType},
		"Unauthorized":                    {"EARLY=" + subscribe, nil, 4401, "Unauthorized"},
		"ConnectionInitialisationTimeout": {"MUTE=yes", nil, 4408, "Connection initialisation timeout"},
		"SubscriberAlreadyExists": {
			"", []string{subscribe, subscribe}, 4409, "Subscriber for x already exists",
		},
		"TooManyInitialisationRequests": {"", []string{begin}, 4429, "Too many initialisation requests"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "graphql_ws", socketURL(p), "TOKEN="+session, c.env)
			if c.env == "" {
				s.want(t, "open")
				s.want(t, "request")
				firstFrame(t, s.want(t, "event"))
			}
			for _, text := range c.send {
				s.order(t, "send", text)
			}
			line := s.next(t)
			for line.Kind != "close" {
				if line.Kind != "event" {
					t.Fatalf("%+v", line)
				}
				line = s.next(t)
			}
			if line.Code != c.code || line.Event != name || line.Text != c.text {
				t.Errorf("closed with %d %s %q, want %d %s %q", line.Code, line.Event, line.Text, c.code, name, c.text)
			}
			if c.code == 4408 {
				return
			}
			if line := s.want(t, "failed"); line.Code != c.code {
				t.Errorf("it says %+v", line)
			}
		})
	}
}

func TestGraphQLWSIsToldThatItsSessionHasEnded(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	s := start(t, "graphql_ws", socketURL(p), "TOKEN="+session, "STAY=yes")
	s.want(t, "open")
	s.want(t, "request")
	firstFrame(t, s.want(t, "event"))
	got := testkit.Do(t, http.MethodPost, p.Ready.Public+"/api/auth/logout", nil, "Authorization", "Bearer "+session)
	if got.Code != http.StatusNoContent {
		t.Fatalf("%+v", got)
	}
	if line := s.want(t, "event"); line.Event != "session/expired" {
		t.Errorf("%+v", line)
	}
	if line := s.want(t, "close"); line.Code != 4403 || line.Event != "Forbidden" {
		t.Errorf("%+v", line)
	}
}

// A gateway that stops does not complete a subscription: this client would not subscribe again.
func TestGraphQLWSIsToldOfARestart(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	s := start(t, "graphql_ws", socketURL(p), "TOKEN="+session)
	s.want(t, "open")
	s.want(t, "request")
	firstFrame(t, s.want(t, "event"))
	if code, took := p.Terminate(t); code != 0 || took > 8*time.Second {
		t.Errorf("it stopped with %d after %v", code, took)
	}
	if line := s.want(t, "close"); line.Code != 1012 {
		t.Errorf("%+v, want 1012", line)
	}
	line := s.next(t)
	for line.Kind == "close" && line.Code == 1006 { // it comes again, and nobody answers
		line = s.next(t)
	}
	if line.Kind != "failed" {
		t.Errorf("%+v, want that it gives up at last", line)
	}
}

func TestGraphQLWSGetsAnswersErrorsAndPongs(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	s := start(t, "graphql_ws", socketURL(p), "TOKEN="+session, "QUERY={health}")
	s.want(t, "open")
	if line := s.want(t, "answer"); string(line.Data) != `{"health":"ok"}` {
		t.Errorf("%s", line.Data)
	}
	s.want(t, "done")
	s = start(t, "graphql_ws", socketURL(p), "TOKEN="+session, "QUERY={nothing}")
	s.want(t, "open")
	if line := s.want(t, "failed"); line.Code != 0 || !strings.Contains(line.Text, "GRAPHQL_VALIDATION_FAILED") {
		t.Errorf("%+v", line)
	}
	s = start(t, "graphql_ws", socketURL(p), "TOKEN="+session, "KEEP_ALIVE=100")
	for s.next(t).Kind != "pong" {
	}
}
