package graphql_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

// failure is an error message.
type failure struct {
	ID, Type string
	Payload  []struct {
		Message    string
		Extensions struct{ Code, Reason string }
	}
}

// fails fails the test unless the next message is an error of an operation; it returns its code and
// reason.
func (s *socket) fails(id string) (code, reason string) {
	s.t.Helper()
	text := s.next()
	var f failure
	if err := json.Unmarshal([]byte(text), &f); err != nil || f.Type != "error" || f.ID != id {
		s.t.Fatalf("%s %v, want an error of %s", text, err, id)
	}
	if len(f.Payload) == 0 || f.Payload[0].Message == "" {
		s.t.Fatalf("no GraphQL errors: %s", text)
	}
	return f.Payload[0].Extensions.Code, f.Payload[0].Extensions.Reason
}

// ping asks for a pong and returns what came before it.
func (s *socket) ping(payload string) (before []string) {
	s.t.Helper()
	s.send(`{"type":"ping","payload":{"n":` + payload + `}}`)
	for {
		got := s.next()
		if got == `{"type":"pong","payload":{"n":`+payload+`}}` {
			return before
		}
		before = append(before, got)
	}
}

func TestPingsAndPongs(t *testing.T) {
	t.Parallel()
	s := open(t, newAPI())
	for _, begin := range []bool{true, false} { // before connection_init, and after it
		s.send(`{"type":"pong"}`)
		s.send(`{"type":"pong","payload":{"a":1}}`)
		s.send(`{"type":"ping"}`)
		s.want(`{"type":"pong"}`)
		s.send(`{"type":"ping","payload":null}`)
		s.want(`{"type":"pong"}`)
		s.send(`{"type":"ping","payload":{ "n": 582940187123449857, "s": "é" }, "other": []}`)
		s.want(`{"type":"pong","payload":{"n":582940187123449857,"s":"é"}}`)
		s.send(`{"id":"nobody's","type":"complete"}`)
		if begin {
			s.send(initText)
			s.want(`{"type":"connection_ack"}`)
		}
	}
	s.answers("1")
}

// What is wrong with a query is told before anything of it is executed, by the rules of HTTP.
// Nothing follows an error, and the id is free.
func TestErrorsBeforeAnythingIsExecuted(t *testing.T) {
	t.Parallel()
	many := make([]string, 150)
	for i := range many {
		many[i] = fmt.Sprintf(`a%d:executePlaybook(name:"x"){id}`, i)
	}
	var multiply strings.Builder
	for i := range 100 {
		fmt.Fprintf(&multiply, " fragment f%d on Query{...f%d ...f%d}", i, i+1, i+1)
	}
	multiply.WriteString(" fragment f100 on Query{health}")
	a := newAPI()
	s := begin(t, a)
	for name, c := range map[string]struct{ query, code, reason string }{
		"empty":            {"", "GRAPHQL_VALIDATION_FAILED", ""},
		"syntax":           {"{", "GRAPHQL_PARSE_FAILED", ""},
		"unknown field":    {"{nothing}", "GRAPHQL_VALIDATION_FAILED", ""},
		"missing variable": {"query($id:String!){execution(id:$id){status}}", "GRAPHQL_VALIDATION_FAILED", ""},
		"two streams":      {"subscription{frames{id} more:frames{id}}", "BAD_USER_INPUT", "one_stream"},
		"no stream":        {"subscription{frames @skip(if:true){id}}", "BAD_USER_INPUT", "one_stream"},
		"too many tokens":  {"{" + strings.Repeat("health ", 2001) + "}", "GRAPHQL_PARSE_FAILED", ""},
		"too complex":      {"mutation{" + strings.Join(many, " ") + "}", "COMPLEXITY_LIMIT_EXCEEDED", ""},
		"too many fields":  {"query{...f0}" + multiply.String(), "BAD_USER_INPUT", "query_too_large"},
	} {
		s.subscribe("1", c.query)
		if code, reason := s.fails("1"); code != c.code || reason != c.reason {
			t.Errorf("%s: %s %s", name, code, reason)
		}
		s.answers("1")
	}
	if n := len(a.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}

// flood sends frames as fast as they are taken.
func flood(ctx context.Context, _ edge.FramesRequest) (<-chan edge.Frame, error) {
	out := make(chan edge.Frame)
	go func() {
		defer close(out)
		for {
			select {
			case out <- edge.Frame{Method: "ping"}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func TestNothingFollowsTheClientsComplete(t *testing.T) {
	t.Parallel()
	s := begin(t, newAPI(frames(flood)))
	for range 3 {
		s.subscribe("1", subscription)
		for range 100 {
			if got := s.next(); got != `{"id":"1","type":"next","payload":{"data":{"frames":{"method":"ping"}}}}` {
				t.Fatal(got)
			}
		}
		s.send(`{"id":"1","type":"complete"}`)
		for _, got := range s.ping("1") { // what was on its way
			if strings.Contains(got, "complete") {
				t.Error(got)
			}
		}
		s.answers("2")
	}
}

func TestAnIDIsFreeWhenItsOperationHasEnded(t *testing.T) {
	t.Parallel()
	s := begin(t, newAPI())
	for _, id := range []string{"1", strings.Repeat("é", 128), " ", "__proto__"} {
		for range 3 {
			s.answers(id)
		}
	}
}

func TestOperationsRunConcurrently(t *testing.T) {
	t.Parallel()
	const n = 100
	s := begin(t, newAPI())
	for i := range n {
		s.subscribe(fmt.Sprint(i), "{health}")
	}
	seen := map[string]string{}
	for range 2 * n {
		var m struct{ ID, Type string }
		if err := json.Unmarshal([]byte(s.next()), &m); err != nil {
			t.Fatal(err)
		}
		seen[m.ID] += m.Type + " "
	}
	for id, types := range seen {
		if types != "next complete " {
			t.Errorf("%s: %s", id, types)
		}
	}
}

func TestOperationsOfASocketAreLimited(t *testing.T) {
	t.Parallel()
	s := begin(t, newAPI(frames(until(nil)), limits(func(l *graphql.SocketLimits) { l.Operations = 3 })))
	stream := func(id string) string {
		s.subscribe(id, subscription)
		return s.next()
	}
	for _, id := range []string{"1", "2", "3"} {
		if got := stream(id); !strings.Contains(got, `"next"`) {
			t.Fatal(got)
		}
	}
	for range 3 {
		s.subscribe("4", "{health}")
		if code, reason := s.fails("4"); code != "RATE_LIMITED" || reason != "too_many_operations" {
			t.Error(code, reason)
		}
	}
	s.send(`{"id":"2","type":"complete"}`)
	testkit.Eventually(t, "one that ended makes room", func() bool { return strings.Contains(stream("4"), `"next"`) })
}

// complete must not make room for more calls of NoETL that nobody waits for.
func TestOperationsThatGoOnCount(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	a := newAPI(limits(func(l *graphql.SocketLimits) { l.Operations = 1 }))
	begun := make(chan struct{}, 1)
	a.noetl.During = func(context.Context) { begun <- struct{}{}; <-release }
	s := begin(t, a)
	s.subscribe("1", `mutation{executePlaybook(name:"demo/echo"){id}}`)
	<-begun
	s.send(`{"id":"1","type":"complete"}`)
	s.subscribe("2", "{health}")
	if code, reason := s.fails("2"); code != "RATE_LIMITED" || reason != "too_many_operations" {
		t.Error(code, reason)
	}
	close(release)
	testkit.Eventually(t, "it has ended", func() bool {
		s.subscribe("2", "{health}")
		return strings.Contains(s.next(), "ok")
	})
	s.want(`{"id":"2","type":"complete"}`)
}

func TestMessagesBeyondTheRate(t *testing.T) {
	t.Parallel()
	slow := limits(func(l *graphql.SocketLimits) { l.MessagesPerMinute = 1 })
	s := begin(t, newAPI(slow)) // 1 of 20
	for range 18 {
		s.answers("1")
	}
	s.ping("1")
	for range 3 {
		s.subscribe("1", "{health}")
		if code, reason := s.fails("1"); code != "RATE_LIMITED" || reason != "too_many" {
			t.Error(code, reason)
		}
	}
	for range 98 {
		s.send(`{"type":"ping"}`) // is not answered
	}
	s.closedWith(1008, "too many messages")

	s = begin(t, newAPI(slow))
	for range 120 {
		if err := s.WriteMessage(websocket.PingMessage, nil); err != nil {
			break // closed already
		}
	}
	s.closedWith(1008, "too many messages")
}

func TestASessionIsAskedForEachOperation(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := begin(t, newAPI(func(d *graphql.Deps) {
		d.Caller = func(context.Context) (edge.Caller, error) {
			if asked.Add(1) > 1 {
				return edge.Caller{}, fault.New(fault.Unauthenticated, "invalid_session", "log in again")
			}
			return edge.Caller{Session: &authwire.Session{}}, nil
		}
	}))
	const query = `{execution(id:"7"){status}}`
	s.subscribe("1", query)
	s.want(`{"id":"1","type":"next","payload":{"data":{"execution":null}}}`, `{"id":"1","type":"complete"}`)
	s.subscribe("1", query)
	if got := s.next(); !strings.Contains(got, `"type":"next"`) || !strings.Contains(got, `"UNAUTHENTICATED"`) {
		t.Error(got)
	}
	s.want(`{"id":"1","type":"complete"}`)
}

// A panic that gqlgen catches is a result, as over HTTP; any other ends the operation. The socket
// lives, and the log has what the client is not told.
func TestAPanicEndsItsOperation(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := begin(t, newAPI(func(d *graphql.Deps) {
		d.Logger = slog.New(slog.NewTextHandler(&log, nil))
		d.Caller = func(context.Context) (edge.Caller, error) { panic("secret internal text") }
	}))
	s.subscribe("1", `{execution(id:"7"){status}}`)
	got := s.next()
	if !strings.Contains(got, `"next"`) || !strings.Contains(got, `"INTERNAL"`) || strings.Contains(got, "secret") {
		t.Error(got)
	}
	s.want(`{"id":"1","type":"complete"}`)
	s.answers("1")
	if !strings.Contains(log.String(), "secret internal text") || !strings.Contains(log.String(), "_test.go") {
		t.Errorf("logged %q", log.String())
	}

	log.Reset()
	s = begin(t, newAPI(func(d *graphql.Deps) { d.Logger = slog.New(slog.NewTextHandler(&log, nil)) },
		frames(func(ctx context.Context, _ edge.FramesRequest) (<-chan edge.Frame, error) {
			out := make(chan edge.Frame, 1)
			out <- edge.Frame{Method: "ping", Params: make(chan int)} // gqlgen panics at what is no JSON
			context.AfterFunc(ctx, func() { close(out) })
			return out, nil
		})))
	s.subscribe("1", `subscription{frames{params}}`)
	if code, reason := s.fails("1"); code != "INTERNAL" || reason != "panic" {
		t.Error(code, reason)
	}
	s.answers("1")
	if !strings.Contains(log.String(), "panicked") {
		t.Errorf("logged %q", log.String())
	}
}
