package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// socket is npm ws, or another client, as a JSON-RPC 2.0 peer.
type socket struct {
	*script
	calls  int
	frames []said // that came while an answer was waited for
}

// connect opens GET /ws and returns the client id of the first frame.
func connect(t *testing.T, base, session string, query url.Values, env ...string) (*socket, string) {
	t.Helper()
	target := strings.Replace(base, "http://", "ws://", 1) + "/ws?" + query.Encode()
	s := &socket{script: start(t, "ws", target, append([]string{"TOKEN=" + session}, env...)...)}
	if open := s.want(t, "open"); open.Text != "" || open.Event != "" {
		t.Errorf("extensions %q and protocol %q were negotiated", open.Text, open.Event)
	}
	first := s.want(t, "message")
	first.Event = "message" // as an event stream names it
	return s, firstFrame(t, first)
}

// answer is a JSON-RPC response.
type answer struct {
	JSONRPC string
	ID      json.RawMessage
	Method  string
	Result  json.RawMessage
	Error   *struct {
		Code    int
		Message string
		Data    struct{ Code string }
	}
}

// say sends a text as it is and returns the answer to it.
func (s *socket) say(t *testing.T, text string) answer {
	t.Helper()
	s.order(t, "send", text)
	for {
		line := s.want(t, "message")
		var a answer
		if err := json.Unmarshal(line.Data, &a); err != nil || a.JSONRPC != "2.0" {
			t.Fatalf("%s: %v", line.Data, err)
		}
		if a.Method == "" {
			return a
		}
		s.frames = append(s.frames, line)
	}
}

// call sends a request and returns its result.
func (s *socket) call(t *testing.T, method, params string) json.RawMessage {
	t.Helper()
	s.calls++
	id := fmt.Sprintf(`"call-%d"`, s.calls)
	a := s.say(t, `{"jsonrpc":"2.0","id":`+id+`,"method":"`+method+`","params":`+params+`}`)
	if a.Error != nil || string(a.ID) != id {
		t.Fatalf("%s: %+v, id %s, want %s", method, a.Error, a.ID, id)
	}
	return a.Result
}

// frame returns the next frame, as an event stream would have it.
func (s *socket) frame(t *testing.T) said {
	t.Helper()
	var line said
	if len(s.frames) > 0 {
		line, s.frames = s.frames[0], s.frames[1:]
	} else {
		line = s.want(t, "message")
	}
	var m struct {
		Method string
		Params struct {
			Meta struct{ EventID string } `json:"_meta"`
		}
	}
	if err := json.Unmarshal(line.Data, &m); err != nil {
		t.Fatalf("%s: %v", line.Data, err)
	}
	line.Event, line.ID = m.Method, m.Params.Meta.EventID
	return line
}

func decodeStarted(t *testing.T, result json.RawMessage) stack.Started {
	t.Helper()
	var s stack.Started
	if err := json.Unmarshal(result, &s); err != nil || s.ExecutionID == "" || s.RequestID == "" || s.Status == "" {
		t.Fatalf("%s: %v", result, err)
	}
	return s
}

// all takes the frames of one execution of demo/progress.
func (s *socket) all(t *testing.T, r *run, started stack.Started) {
	t.Helper()
	for r.result == nil {
		r.take(t, s.frame(t), started)
	}
	r.complete(t)
}

func TestWSRunsEveryMethod(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	public := p.Ready.Public
	session := stack.Login(t, public, p.Ready.Issuer, "demo@example.com")
	s, client := connect(t, public, session, nil)

	// initialize says what the first frame said.
	if got := firstFrame(
		t,
		said{Event: "message", Data: json.RawMessage(`{"result":` + string(s.call(t, "initialize", `{}`)) + `}`)},
	); got != client {
		t.Errorf("initialize: the client is %s, want %s", got, client)
	}
	if got := s.call(t, "ping", `{}`); string(got) != `"pong"` {
		t.Errorf("ping: %s", got)
	}
	s.order(t, "ping", "are you there")
	if line := s.want(t, "pong"); line.Text != "are you there" {
		t.Errorf("pong: %+v", line)
	}

	// Started over GraphQL, and over this connection.
	var r run
	s.all(t, &r, stack.Execute(t, public, session, client, "demo/progress", `{"step_ms":20}`))
	started := decodeStarted(
		t,
		s.call(t, "playbook/execute", `{"name":"demo/progress","variables":{"step_ms":20},"resourceKind":"playbook"}`),
	)
	r = run{last: r.last}
	s.all(t, &r, started)

	// Again, by the id as a text and as a number.
	for _, id := range []string{`"` + started.ExecutionID + `"`, started.ExecutionID} {
		again := decodeStarted(t, s.call(t, "playbook/rerun", `{"executionId":`+id+`}`))
		if again.ExecutionID == started.ExecutionID || again.RequestID == started.RequestID {
			t.Errorf("rerun of %s is %+v", id, again)
		}
		r = run{last: r.last}
		s.all(t, &r, again)
	}

	slow := decodeStarted(t, s.call(t, "playbook/execute", `{"name":"demo/slow","variables":{"seconds":60}}`))
	var canceled struct{ ExecutionID, Status string }
	if err := json.Unmarshal(
		s.call(t, "playbook/cancel", `{"executionId":"`+slow.ExecutionID+`","reason":"enough"}`),
		&canceled,
	); err != nil || canceled.ExecutionID != slow.ExecutionID ||
		canceled.Status == "" {
		t.Errorf("cancel: %+v %v", canceled, err)
	}
}

func TestWSRefusesInTheWordsOfJSONRPC(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	viewer := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "viewer@example.com")
	s, _ := connect(t, p.Ready.Public, session, nil)
	for name, c := range map[string]struct {
		text string
		id   string
		code int
		word string
	}{
		"no JSON":      {`{"jsonrpc":`, `null`, -32700, ""},
		"no object":    {`5`, `null`, -32600, ""},
		"a batch":      {`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, `null`, -32600, ""},
		"no version":   {`{"id":1,"method":"ping"}`, `1`, -32600, ""},
		"version 1":    {`{"jsonrpc":"1.0","id":1,"method":"ping"}`, `1`, -32600, ""},
		"no method":    {`{"jsonrpc":"2.0","id":"a"}`, `"a"`, -32600, ""},
		"id an object": {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, `null`, -32600, ""},
		"unknown method": {
			`{"jsonrpc":"2.0","id":9007199254740993,"method":"playbook/delete"}`, `9007199254740993`, -32601, "",
		},
		"params a list": {
			`{"jsonrpc":"2.0","id":2,"method":"playbook/execute","params":["demo/echo"]}`, `2`, -32602, "",
		},
		"params of one type": {
			`{"jsonrpc":"2.0","id":3,"method":"playbook/execute","params":{"name":5}}`, `3`, -32602, "bad_params",
		},
		"no name": {
			`{"jsonrpc":"2.0","id":4,"method":"playbook/execute","params":{}}`, `4`, -32602, "no_name",
		},
		"rerun of nothing":  {`{"jsonrpc":"2.0","id":5,"method":"playbook/rerun","params":{}}`, `5`, -32602, ""},
		"cancel of nothing": {`{"jsonrpc":"2.0","id":6,"method":"playbook/cancel","params":{}}`, `6`, -32602, ""},
		"subscription": {
			`{"jsonrpc":"2.0","id":7,"method":"subscription/open","params":{"path":"a","scope":"b"}}`, `7`, -32602,
			"",
		},
		"and its end": {
			`{"jsonrpc":"2.0","id":8,"method":"subscription/close","params":{"subscription_id":"a"}}`, `8`, -32602,
			"",
		},
	} {
		a := s.say(t, c.text)
		if string(a.ID) != c.id || a.Error == nil || a.Result != nil || a.Error.Code != c.code ||
			a.Error.Message == "" ||
			(c.word != "" && a.Error.Data.Code != c.word) {
			t.Errorf(
				"%s: id %s, result %s, %+v; want id %s, %d %s", name, a.ID, a.Result, a.Error, c.id, c.code, c.word,
			)
		}
	}
	// A notification has no answer; the connection goes on.
	s.order(t, "send", `{"jsonrpc":"2.0","method":"playbook/delete"}`)
	if got := s.call(t, "ping", `{}`); string(got) != `"pong"` {
		t.Errorf("ping: %s", got)
	}
	v, _ := connect(t, p.Ready.Public, viewer, nil)
	if a := v.say(
		t,
		`{"jsonrpc":"2.0","id":1,"method":"playbook/cancel","params":{"executionId":"1"}}`,
	); a.Error == nil ||
		a.Error.Code == -32601 {
		t.Errorf("the cancel of an unknown execution: %+v %s", a.Error, a.Result)
	}
}

func TestWSGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	w := stack.NewWire(t, p.Ready.Public)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	for _, end := range []string{"cut", "abort"} {
		s, client := connect(t, w.URL, session, nil)
		started := stack.Execute(t, p.Ready.Public, session, client, "demo/progress", `{"step_ms":150}`)
		var r run
		for r.frames < 4 {
			r.take(t, s.frame(t), started)
		}
		if end == "cut" {
			w.Cut()
		} else {
			s.order(t, "terminate", true)
		}
		for line := s.next(t); line.Kind != "close"; line = s.next(t) {
			if line.Kind == "message" {
				r.take(t, (&socket{frames: []said{line}}).frame(t), started)
			}
		}
		again, got := connect(t, w.URL, session, url.Values{"client_id": {client}, "last_event_id": {r.last}})
		if got != client {
			t.Errorf("%s: came again as %s, want %s", end, got, client)
		}
		again.all(t, &r, started)
	}
}

func TestWSDoors(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS=https://app.example.com")
	public := p.Ready.Public
	session := stack.Login(t, public, p.Ready.Issuer, "demo@example.com")
	target := strings.Replace(public, "http://", "ws://", 1) + "/ws"
	for name, c := range map[string]struct {
		target string
		env    []string
		status int
	}{
		"another origin": {
			target, []string{"TOKEN=" + session, "ORIGIN=https://evil.example.com"}, http.StatusForbidden,
		},
		"a longer origin": {
			target, []string{"TOKEN=" + session, "ORIGIN=https://app.example.com.evil.example"}, http.StatusForbidden,
		},
		"the origin null":       {target, []string{"TOKEN=" + session, "ORIGIN=null"}, http.StatusForbidden},
		"no session":            {target, nil, http.StatusUnauthorized},
		"an unknown session":    {target, []string{"TOKEN=nobody"}, http.StatusUnauthorized},
		"an unknown ticket":     {target + "?ticket=nothing", nil, http.StatusUnauthorized},
		"a client id of no use": {target + "?client_id=a%20b", []string{"TOKEN=" + session}, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := start(t, "ws", c.target, c.env...).want(t, "refused")
			if line.Code != c.status || !strings.Contains(line.Text, `"error":"`) {
				t.Errorf("%d %s, want %d", line.Code, line.Text, c.status)
			}
		})
	}
	connect(t, public, session, nil, "ORIGIN=https://app.example.com")
	connect(t, public, "", url.Values{"session_token": {session}})

	// A ticket opens one connection, of the session that asked for it.
	a := testkit.Do(t, http.MethodPost, public+"/events/ticket", nil, "Authorization", "Bearer "+session)
	ticket := testkit.Decode[struct{ Ticket string }](t, a).Ticket
	if a.Code != http.StatusOK || ticket == "" || strings.Contains(ticket, session) {
		t.Fatalf("ticket: %d %s", a.Code, a.Body)
	}
	s, client := connect(t, public, "", url.Values{"ticket": {ticket}})
	var r run
	s.all(t, &r, stack.Execute(t, public, session, client, "demo/progress", `{"step_ms":10}`))
	if line := start(t, "ws", target+"?ticket="+ticket).want(t, "refused"); line.Code != http.StatusUnauthorized {
		t.Errorf("a ticket used twice: %d %s", line.Code, line.Text)
	}
}

func TestWSEnds(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t, "GATEWAY_WS_MAX_MESSAGE_BYTES=4096")
	public := p.Ready.Public
	session := stack.Login(t, public, p.Ready.Issuer, "demo@example.com")

	closed, _ := connect(t, public, session, nil)
	closed.order(t, "close", []any{1000, "done"})
	if line := closed.want(t, "close"); line.Code != 1000 {
		t.Errorf("the close was answered with %d %s", line.Code, line.Text)
	}
	binary, _ := connect(t, public, session, nil)
	binary.order(t, "binary", "x")
	if line := binary.want(t, "close"); line.Code != 1003 {
		t.Errorf("binary: %d %s, want 1003", line.Code, line.Text)
	}
	large, _ := connect(t, public, session, nil)
	large.order(t, "send", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"`+strings.Repeat("x", 5000)+`"}}`)
	if line := large.want(t, "close"); line.Code != 1009 {
		t.Errorf("a large message: %d %s, want 1009", line.Code, line.Text)
	}

	// Logout: the frame first, then 4401, and soon.
	s, _ := connect(t, public, session, nil)
	begin := time.Now()
	if a := testkit.Do(
		t, http.MethodPost, public+"/api/auth/logout", nil, "Authorization", "Bearer "+session,
	); a.Code != http.StatusNoContent {
		t.Fatalf("logout: %d %s", a.Code, a.Body)
	}
	if line := s.frame(t); line.Event != "session/expired" || line.ID != "" {
		t.Errorf("%+v %s, want session/expired", line, line.Data)
	}
	if line := s.want(t, "close"); line.Code != 4401 {
		t.Errorf("closed with %d %s, want 4401", line.Code, line.Text)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A gateway that stops says so, and a client may come again.
func TestWSIsToldThatTheGatewayStops(t *testing.T) {
	t.Parallel()
	stack.Packages(t, folder())
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	s, _ := connect(t, p.Ready.Public, session, nil)
	if code, took := p.Terminate(t); code != 0 {
		t.Errorf("the gateway ended with %d after %v", code, took)
	}
	if line := s.want(t, "close"); line.Code != 1012 {
		t.Errorf("closed with %d %s, want 1012", line.Code, line.Text)
	}
}
