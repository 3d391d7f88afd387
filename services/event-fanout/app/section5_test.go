package app_test

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// Statements of the wire contract, section 5, that no other test is about.

func TestTheFirstFramesOfAStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	s := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	first, second := <-s.Events, <-s.Events
	want := []string{
		`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2024-11-05","serverInfo":{"name":"noetl-gateway","version":"`,
		`},"clientId":"`,
		`","capabilities":{"playbooks":true,"callbacks":true,"subscriptions":false,"playbookState":true,"subscriptionSources":["execution"]}}}`,
	}
	for _, part := range want {
		if !strings.Contains(first.Data, part) {
			t.Errorf("the first frame lacks %s: %s", part, first.Data)
		}
	}
	// Its id leads back to the client: an EventSource that is cut before any frame brings nothing else.
	if first.Name != "message" || !strings.HasSuffix(first.ID, "-"+clientOf(t, first.Data)) || second.Name != "ping" ||
		second.ID != "" ||
		second.Data != `{"jsonrpc":"2.0","method":"ping","params":{}}` {
		t.Errorf("%+v %+v", first, second)
	}
}

func clientOf(t *testing.T, first string) string {
	t.Helper()
	_, rest, _ := strings.Cut(first, `"clientId":"`)
	client, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal(first)
	}
	return client
}

func TestPingsComeAtTheHeartbeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_HEARTBEAT_INTERVAL_SECS=1")
	s := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	<-s.Events
	<-s.Events
	begin := time.Now()
	for range 2 {
		if e := <-s.Events; e.Name != "ping" {
			t.Fatalf("%+v", e)
		}
	}
	if took := time.Since(begin); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("two pings took %v", took)
	}
}

// The token is read in the contract's order, and the last id from header or query.
func TestWhereTheTokenAndTheLastIDMayBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	first := testkit.OpenEvents(t, a.public, token, nil)
	client := first.ClientID(t)
	w.expect("r1", client)
	w.bind("r1", execution)
	w.event("step.exit", "one")
	w.event("step.exit", "two")
	last := first.Next(t).ID
	for name, c := range map[string]struct {
		query  url.Values
		header http.Header
	}{
		"bearer, header":         {nil, http.Header{"Authorization": {"Bearer " + token}, "Last-Event-Id": {last}}},
		"x-session-token, query": {url.Values{"last_event_id": {last}}, http.Header{"X-Session-Token": {token}}},
		"cookie": {
			url.Values{"last_event_id": {last}}, http.Header{"Cookie": {"session_token=" + token}},
		},
		"query": {url.Values{"last_event_id": {last}, "session_token": {token}}, http.Header{}},
		"the header's id counts": {
			url.Values{"last_event_id": {"x-999"}, "session_token": {token}}, http.Header{"Last-Event-Id": {last}},
		},
		"bearer before cookie": {
			url.Values{"last_event_id": {last}},
			http.Header{"Authorization": {"bearer " + token}, "Cookie": {"session_token=nobody"}},
		},
	} {
		if c.query == nil {
			c.query = url.Values{}
		}
		c.query.Set("client_id", client)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.public+"/events?"+c.query.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = c.header
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		var data []string
		for lines := bufio.NewScanner(resp.Body); len(data) < 3 && lines.Scan(); {
			if rest, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				data = append(data, rest)
			}
		}
		_ = resp.Body.Close()
		if len(data) < 3 || !strings.Contains(data[2], `"step_name":"two"`) {
			t.Errorf("%s: %s", name, data)
		}
	}
}

func TestErrorsAreJSONWithTheRightStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	for path, want := range map[string]struct {
		method string
		status int
		text   string
	}{
		"/events":                 {http.MethodPost, 405, "this path takes GET"},
		"/events?":                {http.MethodGet, 401, "a session token is required"},
		"/events?session_token=x": {http.MethodGet, 401, "the session is invalid or expired"},
		"/events?ticket=x":        {http.MethodGet, 401, "the ticket is unknown, used or expired"},
		"/ws?session_token=x":     {http.MethodGet, 426, "this path takes WebSocket connections"},
		"/ws":                     {http.MethodPost, 405, "this path takes GET"},
		"/events/ticket":          {http.MethodGet, 405, "this path takes POST"},
		"/events/else":            {http.MethodGet, 404, "there is nothing at this path"},
		"/api/internal/progress":  {http.MethodPost, 404, "there is nothing at this path"},
	} {
		resp, body := w.do(want.method, a.public+path, nil)
		if resp.StatusCode != want.status || !strings.Contains(body, `{"error":"`+want.text) {
			t.Errorf("%s %s: %d %s", want.method, path, resp.StatusCode, body)
		}
		if allow := resp.Header.Get("Allow"); want.status == 405 && !strings.HasSuffix(want.text, allow) {
			t.Errorf("%s: Allow: %s", path, allow)
		}
	}
}
