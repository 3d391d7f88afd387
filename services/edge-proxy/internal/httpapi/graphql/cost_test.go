package graphql_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

// aliases is a query or mutation that selects a field n times.
func aliases(kind, field string, n int) string {
	var b strings.Builder
	b.WriteString(`{"query":"` + kind + `{`)
	for i := range n {
		fmt.Fprintf(&b, "a%d:%s ", i, strings.ReplaceAll(field, `"`, `\"`))
	}
	b.WriteString(`}"}`)
	return b.String()
}

// An operation with many aliases is as many calls, and a mutation is dear: what one session can do is bounded by
// fields,
// not by requests.
func TestFieldsCostNotRequests(t *testing.T) {
	t.Parallel()
	var counted []int
	a := newAPI(func(d *graphql.Deps) {
		d.Count = func(_ context.Context, caller edge.Caller, n int) error {
			if caller.Session == nil {
				t.Error("nobody is counted")
			}
			if counted = append(counted, n); n > 20 {
				return fault.New(fault.RateLimited, "too_many", "too many requests; try again later")
			}
			return nil
		}
	})
	const start = `executePlaybook(name:"demo/echo"){id}`
	for _, c := range []struct {
		body, want string
		started    int
	}{
		{aliases("query", "health", 1), `"a0":"ok"`, 0},
		{aliases("query", "health", 20), `"a19":"ok"`, 0},
		{aliases("query", "health", 21), "too_many", 0},
		{aliases("mutation", start, 3), `"a2":{`, 3},
		{aliases("mutation", start, 4), "COMPLEXITY_LIMIT_EXCEEDED", 0},
		{aliases("query", `execution(id:"1"){status}`, 10), "COMPLEXITY_LIMIT_EXCEEDED", 0},
		{`{"query":"{...f ...f} fragment f on Query{a:health b:version}"}`, `"b":"v1.2.3"`, 0},
		{`{"query":"{__schema{queryType{name}}}"}`, `"name":"Query"`, 0},
		{`{"query":"{__typename}"}`, `"__typename":"Query"`, 0},
	} {
		before := len(a.noetl.Started())
		got := a.post(t, c.body, "application/json").Body.String()
		if !strings.Contains(got, c.want) || len(a.noetl.Started())-before != c.started {
			t.Errorf("%.60s: %d started, %.200s", c.body, len(a.noetl.Started())-before, got)
		}
	}
	if diff := cmp.Diff([]int{1, 20, 21, 3, 2, 1, 1}, counted); diff != "" {
		t.Error(diff)
	}
}

// Over a WebSocket too, and nobody who is not logged in is answered anything.
func TestFieldsOverAWebSocketCost(t *testing.T) {
	t.Parallel()
	a := newAPI(func(d *graphql.Deps) {
		d.Count = func(_ context.Context, _ edge.Caller, n int) error {
			if n > 2 {
				return fault.New(fault.RateLimited, "too_many", "too many requests; try again later")
			}
			return nil
		}
	})
	s := open(t, a)
	s.send(`{"type":"connection_init","payload":{"session_token":"secret-token"}}`)
	s.want(`{"type":"connection_ack"}`)
	s.send(`{"id":"1","type":"subscribe","payload":{"query":"{a:health b:health}"}}`)
	s.want(`{"id":"1","type":"next","payload":{"data":{"a":"ok","b":"ok"}}}`)
	s.want(`{"id":"1","type":"complete"}`)
	s.send(`{"id":"2","type":"subscribe","payload":{"query":"{a:health b:health c:__typename}"}}`)
	if got := s.next(); !strings.Contains(got, `"type":"error"`) || !strings.Contains(got, "too_many") {
		t.Error(got)
	}
}

// What NoETL answers is held in memory for GraphQL: an operation and the process hold a bounded amount.
func TestAnswersDrawOnABudget(t *testing.T) {
	t.Parallel()
	const answer = 3 << 20
	proxy := func(
		_ context.Context, _ edge.Caller, _, _ string, _ any, hold func(int) error,
	) (int, []byte, error) {
		if err := hold(answer); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, []byte(`{"n":1}`), nil
	}
	const call = `proxyRequest(input:{method:"GET",endpoint:"/api/x"}){success error}`
	a := newAPI(func(d *graphql.Deps) { d.Proxy, d.Answers = proxy, graphql.NewAnswers(9<<20) })
	for range 3 { // what an operation held is free again after it
		got := a.post(t, aliases("mutation", call, 3), "application/json").Body.String()
		if strings.Count(got, `"success":true`) != 2 || strings.Count(got, "8 MiB together") != 1 {
			t.Error(got)
		}
	}
	full := newAPI(func(d *graphql.Deps) { d.Proxy, d.Answers = proxy, graphql.NewAnswers(4<<20) })
	if got := full.post(
		t, aliases("mutation", call, 2), "application/json",
	).Body.String(); strings.Count(got, `"success":true`) != 1 ||
		!strings.Contains(got, "under way") {
		t.Error(got)
	}
}
