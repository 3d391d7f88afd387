package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

// watching makes an api whose streams send these frames after the first, and then nothing until they end.
func watching(subs *edgetest.Subscriptions, sent ...edge.Frame) *api {
	svc := edge.New(edge.Deps{
		Subscriptions: subs,
		Frames: framesFunc(func(ctx context.Context, _ edge.FramesRequest) (<-chan edge.Frame, error) {
			out := make(chan edge.Frame, 1+len(sent))
			out <- edge.Frame{ID: "e-0", Method: "initialized", Params: map[string]any{"clientId": "c1"}}
			for _, f := range sent {
				out <- f
			}
			context.AfterFunc(ctx, func() { close(out) })
			return out, nil
		}),
	})
	return newAPI(func(d *graphql.Deps) { d.Watch = svc.Watch })
}

type framesFunc func(context.Context, edge.FramesRequest) (<-chan edge.Frame, error)

// Open implements edge.Frames.
func (f framesFunc) Open(ctx context.Context, in edge.FramesRequest) (<-chan edge.Frame, error) {
	return f(ctx, in)
}

// event is a frame about a document of the first subscription.
func event(params map[string]any) edge.Frame {
	params["subscription_id"] = "s-1"
	return edge.Frame{ID: "e-1", Method: "subscription/event", Params: params}
}

func endedFor(reason string) edge.Frame {
	params := map[string]any{"subscription_id": "s-1", "reason": reason}
	return edge.Frame{ID: "e-2", Method: "subscription/ended", Params: params}
}

const documents = `subscription{documents(source:"kv",path:"chat_threads/42/board")` +
	`{subscriptionId docId op data updateTime tooLarge}}`

func TestSubscribingToDocuments(t *testing.T) {
	t.Parallel()
	subs := &edgetest.Subscriptions{}
	s := begin(t, watching(subs,
		event(map[string]any{
			"doc_id": "a", "op": "added", "data": map[string]any{"n": json.Number("582940187123449857")},
			"update_time": "2026-05-24T10:00:00Z",
		}),
		event(map[string]any{"doc_id": "b", "op": "modified", "data": nil, "too_large": true}),
		edge.Frame{Method: "subscription/event", Params: map[string]any{"subscription_id": "s-2", "doc_id": "c"}},
		event(map[string]any{"doc_id": "a", "op": "removed", "data": nil}),
		endedFor("closed"),
	))
	s.subscribe("1", documents)
	next := func(event string) string {
		return `{"id":"1","type":"next","payload":{"data":{"documents":{"subscriptionId":"s-1",` + event + `}}}}`
	}
	s.want(
		next(`"docId":"a","op":"added","data":{"n":582940187123449857},"updateTime":"2026-05-24T10:00:00Z","tooLarge":false`),
		next(`"docId":"b","op":"modified","data":null,"updateTime":null,"tooLarge":true`),
		next(`"docId":"a","op":"removed","data":null,"updateTime":null,"tooLarge":false`),
		`{"id":"1","type":"complete"}`)
	asked := subs.Open.All()["s-1"]
	if asked.Source != "kv" || asked.Path != "chat_threads/42/board" || asked.Scope != "" || asked.ClientID != "c1" ||
		asked.SessionToken != "secret-token" {
		t.Errorf("asked for %+v", asked)
	}
	s.answers("1")
}

func TestSubscribingToAnExecution(t *testing.T) {
	t.Parallel()
	state := func(step any, kind string) edge.Frame {
		return event(map[string]any{"doc_id": kind, "op": "added", "data": map[string]any{
			"execution_id": "582940187123449857", "event_type": kind, "step_name": step, "status": "RUNNING",
			"at": "2026-05-24T10:00:00Z",
		}})
	}
	subs := &edgetest.Subscriptions{}
	s := begin(t, watching(subs, state("greet", "step.enter"),
		event(map[string]any{"doc_id": "x", "op": "added", "data": nil, "too_large": true}),
		state(nil, "playbook.completed"), endedFor("closed")))
	s.subscribe("1", `subscription{executionEvents(executionId:"582940187123449857")`+
		`{executionId eventType stepName status at}}`)
	next := func(kind, step string) string {
		return `{"id":"1","type":"next","payload":{"data":{"executionEvents":{"executionId":"582940187123449857",` +
			`"eventType":"` + kind + `","stepName":` + step + `,"status":"RUNNING","at":"2026-05-24T10:00:00Z"}}}}`
	}
	s.want(next("step.enter", `"greet"`), next("playbook.completed", "null"), `{"id":"1","type":"complete"}`)
	if asked := subs.Open.All()["s-1"]; asked.Source != "execution" || asked.Path != "582940187123449857" {
		t.Errorf("asked for %+v", asked)
	}
}

// The error that ends a stream says why, and nothing follows it.
func TestASubscriptionThatEndsFails(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"denied": "FORBIDDEN", "not_found": "NOT_FOUND", "too_large": "TOO_LARGE", "expired": "UNAVAILABLE",
		"source_gone": "UNAVAILABLE",
	} {
		s := begin(t, watching(&edgetest.Subscriptions{},
			event(map[string]any{"doc_id": "a", "op": "added", "data": 1}), endedFor(reason)))
		s.subscribe("1", `subscription{documents(source:"kv",path:"a/b"){docId}}`)
		s.want(`{"id":"1","type":"next","payload":{"data":{"documents":{"docId":"a"}}}}`)
		if code, got := s.fails("1"); code != want || got != reason {
			t.Errorf("%s: %s %s", reason, code, got)
		}
		s.answers("1")
	}
}

// What cannot begin is a result, as every failure of a resolver is.
func TestASubscriptionThatIsRefused(t *testing.T) {
	t.Parallel()
	subs := &edgetest.Subscriptions{}
	s := begin(t, watching(subs))
	s.subscribe("1", `subscription{documents(source:"kv",path:"chat_threads/foreign/board"){docId}}`)
	if got := s.next(); !strings.Contains(got, `"type":"next"`) || !strings.Contains(got, `"FORBIDDEN"`) {
		t.Error(got)
	}
	s.want(`{"id":"1","type":"complete"}`)
	subs.Fail("subscribe", fault.New(fault.Unavailable, "source_not_configured", "there is no such source here"))
	s.subscribe("1", `subscription{executionEvents(executionId:"7"){at}}`)
	if got := s.next(); !strings.Contains(got, `"source_not_configured"`) {
		t.Error(got)
	}
	s.want(`{"id":"1","type":"complete"}`)
	if n := len(subs.Open.All()); n != 0 {
		t.Errorf("%d are open", n)
	}
}

// A subscription is closed when its client says complete, when the client leaves, and when the socket is drained.
func TestASubscriptionIsClosedWithItsOperation(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*api, *socket){
		"complete": func(_ *api, s *socket) { s.send(`{"id":"1","type":"complete"}`) },
		"gone":     func(_ *api, s *socket) { _ = s.NetConn().Close() },
		"drained":  func(a *api, _ *socket) { a.Drain(context.Background()) },
	} {
		subs := &edgetest.Subscriptions{}
		a := watching(subs, event(map[string]any{"doc_id": "a", "op": "added", "data": 1}))
		s := begin(t, a)
		s.subscribe("1", `subscription{documents(source:"kv",path:"a/b",scope:"owner"){docId}}`)
		s.want(`{"id":"1","type":"next","payload":{"data":{"documents":{"docId":"a"}}}}`)
		leave(a, s)
		testkit.Eventually(t, name+" closes it", func() bool { return len(subs.Closed.All()) == 1 })
		if n := len(subs.Open.All()); n != 0 {
			t.Errorf("%s: %d are open", name, n)
		}
	}
}

// They cost as a question to NoETL does.
func TestSubscriptionsHaveAPrice(t *testing.T) {
	t.Parallel()
	subs := &edgetest.Subscriptions{}
	s := begin(t, watching(subs))
	var many strings.Builder
	for i := range 185 {
		fmt.Fprintf(&many, "a%d:docId ", i)
	}
	s.subscribe("1", `subscription{documents(source:"kv",path:"a/b"){`+many.String()+`}}`)
	if code, _ := s.fails("1"); code != "COMPLEXITY_LIMIT_EXCEEDED" {
		t.Error(code)
	}
	s.subscribe("1", `subscription{documents(source:"kv",path:"a/b"){docId} executionEvents(executionId:"7"){at}}`)
	if code, _ := s.fails("1"); code != "GRAPHQL_VALIDATION_FAILED" {
		t.Error("two streams:", code)
	}
	if n := len(subs.Open.All()); n != 0 {
		t.Errorf("%d are open", n)
	}
}

// The frames themselves show the end of a subscription too.
func TestFramesShowTheEndOfASubscription(t *testing.T) {
	t.Parallel()
	s := begin(t, newAPI(frames(func(context.Context, edge.FramesRequest) (<-chan edge.Frame, error) {
		out := make(chan edge.Frame, 1)
		out <- endedFor("expired")
		close(out)
		return out, nil
	})))
	s.subscribe("1", `subscription{frames{id method params}}`)
	s.want(`{"id":"1","type":"next","payload":{"data":{"frames":{"id":"e-2","method":"subscription/ended",`+
		`"params":{"reason":"expired","subscription_id":"s-1"}}}}}`, `{"id":"1","type":"complete"}`)
}
