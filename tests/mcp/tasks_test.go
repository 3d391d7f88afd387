package mcp_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

var long = flag.Bool("mcp-long", false, "let the task that outlives the replicas run for ten minutes, not 25 seconds")

// lasting is a playbook that takes so many seconds: demo/slow takes a minute at most.
func lasting(seconds int) string {
	if seconds > 60 {
		return "demo/batch"
	}
	return "demo/slow"
}

// taskOf starts a playbook as a task and returns its id.
func (w world) taskOf(t *testing.T, token string, seconds int) string {
	t.Helper()
	name := strings.ReplaceAll(lasting(seconds), "/", "__")
	r := w.send(t, token, call(name, obj{"seconds": seconds}, true))
	id := r.text("taskId")
	if r.text("resultType") != "task" || r.text("status") != "working" || len(id) < 20 {
		t.Fatalf("the task: %+v, want one that works", r)
	}
	for _, name := range []string{"createdAt", "lastUpdatedAt", "ttlMs", "pollIntervalMs"} {
		if r.Result[name] == nil {
			t.Errorf("the task lacks %s: %v", name, r.Result)
		}
	}
	return id
}

func (w world) task(t *testing.T, token, id string) reply {
	t.Helper()
	return w.send(t, token, message("tasks/get", obj{"taskId": id}, true))
}

// ended polls a task until it works no more.
func (w world) ended(t *testing.T, token, id string, within time.Duration) reply {
	t.Helper()
	var last reply
	testkit.EventuallyIn(t, within, "the task ends", func() bool {
		r, err := w.try(t, token, message("tasks/get", obj{"taskId": id}, true))
		if err != nil || r.Code >= 500 { // no replica takes it at this moment
			return false
		}
		last = r
		if r.Error != nil {
			t.Fatalf("tasks/get: %+v", r.Error)
		}
		<-time.After(200 * time.Millisecond) // a client that polls faster is limited
		return r.text("status") != "working"
	})
	return last
}

func TestTasks(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.token(t, demo)
	t.Run("one that completes", func(t *testing.T) {
		t.Parallel()
		id := w.taskOf(t, token, 3)
		r := w.ended(t, token, id, patience)
		inner, _ := r.Result["result"].(map[string]any)
		if r.text("status") != "completed" || inner["isError"] == true || inner["structuredContent"] == nil {
			t.Errorf("the task: %+v, want it to be completed with the result", r.Result)
		}
		if again := w.task(t, token, id); fmt.Sprint(again.Result["result"]) != fmt.Sprint(inner) {
			t.Errorf("asked again: %v, was %v", again.Result["result"], inner)
		}
	})
	t.Run("one that fails", func(t *testing.T) {
		t.Parallel()
		r := w.send(t, token, call("demo__fail", obj{}, true))
		result := r.Result
		if id := r.text("taskId"); id != "" {
			end := w.ended(t, token, id, patience)
			result, _ = end.Result["result"].(map[string]any)
			if end.text("status") != "completed" {
				t.Errorf("a playbook that fails is a task that is %s", end.text("status"))
			}
		}
		if result["isError"] != true || !strings.Contains(fmt.Sprint(result["content"]), "fails on purpose") {
			t.Errorf("the result: %v", result)
		}
	})
	t.Run("one that is cancelled", func(t *testing.T) {
		t.Parallel()
		id := w.taskOf(t, token, 60)
		r := w.send(t, token, message("tasks/cancel", obj{"taskId": id}, true))
		if r.Error != nil || r.text("resultType") != "complete" || r.Result["taskId"] != nil {
			t.Errorf("tasks/cancel: %+v %+v", r.Result, r.Error)
		}
		if end := w.ended(t, token, id, patience); end.text("status") != "cancelled" {
			t.Errorf("it ended as %v", end.Result)
		}
		if r := w.send(t, token, message("tasks/cancel", obj{"taskId": id}, true)); r.Error != nil {
			t.Errorf("cancelled again: %+v", r.Error)
		}
	})
	t.Run("of nobody else", func(t *testing.T) {
		t.Parallel()
		id := w.taskOf(t, token, 30)
		for name, other := range map[string]string{"viewer": w.token(t, viewer), "admin": w.token(t, admin)} {
			for _, method := range []string{"tasks/get", "tasks/cancel", "tasks/update"} {
				params := obj{"taskId": id}
				if method == "tasks/update" {
					params["inputResponses"] = obj{}
				}
				if r := w.send(t, other, message(method, params, true)); r.Error == nil || r.Error.Code != -32602 {
					t.Errorf("%s by %s: %+v, want -32602", method, name, r)
				}
			}
		}
		if r := w.task(t, token, id); r.text("status") != "working" {
			t.Errorf("the task of its owner: %+v", r.Result)
		}
	})
	t.Run("of the same user elsewhere", func(t *testing.T) {
		t.Parallel()
		id := w.taskOf(t, token, 30)
		if r := w.task(t, w.session(t, demo), id); r.text("status") != "working" {
			t.Errorf("with another token: %+v", r)
		}
	})
	t.Run("only who can have tasks gets one", func(t *testing.T) {
		t.Parallel()
		r := w.send(t, token, call("demo__slow", obj{"seconds": 2}, false))
		if r.text("resultType") != "complete" || r.Result["taskId"] != nil || r.Result["isError"] == true {
			t.Errorf("without the extension: %+v", r.Result)
		}
		for _, method := range []string{"tasks/get", "tasks/cancel"} {
			r := w.send(t, token, message(method, obj{"taskId": strings.Repeat("a", 32)}, false))
			if r.Error == nil || r.Error.Code != -32021 {
				t.Errorf("%s without the extension: %+v, want -32021", method, r.Error)
			}
		}
	})
	t.Run("unknown ones", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("a", 5000)
		for _, id := range []string{"", "x", long[:32], long, "../../x", "a b", "ä"} {
			if r := w.send(t, token, message("tasks/get", obj{"taskId": id}, true)); r.Error == nil ||
				r.Error.Code != -32602 && r.Error.Code != -32020 { // some fit into no header
				t.Errorf("task %.40q: %+v %+v, want -32602", id, r.Result, r.Error)
			}
		}
	})
}

// TestATaskOutlivesTheReplicas kills each replica of edge-proxy and event-fanout once while a task runs, and starts one
// of them again.
func TestATaskOutlivesTheReplicas(t *testing.T) {
	t.Parallel()
	seconds := 25
	if *long {
		seconds = 600
	}
	w, s := split(t)
	token := w.token(t, demo)
	begin := time.Now()
	id := w.taskOf(t, token, seconds)
	third := time.Duration(seconds) * time.Second / 3
	kill := func(i int, at time.Duration) {
		t.Helper()
		<-time.After(time.Until(begin.Add(at))) // the task is running: there is nothing to wait for
		s.Edge[i].Kill()
		s.Fanout[i].Kill()
		testkit.Eventually(t, "the other replica tells", func() bool {
			r, err := w.try(t, token, message("tasks/get", obj{"taskId": id}, true))
			return err == nil && r.text("status") == "working"
		})
		t.Logf("replica %d killed after %v", i, time.Since(begin).Round(time.Second))
	}
	kill(0, third/2)
	s.RestartFanout(t, 0)
	s.RestartEdge(t, 0)
	w.front.To(s.Edge[0].Ready.Public, s.Edge[1].Ready.Public)
	kill(1, 2*third)
	r := w.ended(t, token, id, time.Until(begin.Add(time.Duration(seconds)*time.Second+patience)))
	inner, _ := r.Result["result"].(map[string]any)
	if r.text("status") != "completed" || inner["isError"] == true || inner["structuredContent"] == nil {
		t.Errorf("the task: %+v", r.Result)
	}
	took := time.Since(begin)
	if took < time.Duration(seconds)*time.Second {
		t.Errorf("it ended after %v, before its playbook", took)
	}
	if n := len(stack.Executions(t, w.noetl, lasting(seconds))); n != 1 {
		t.Errorf("%d executions were started, want one", n)
	}
	t.Logf("completed after %v", took.Round(time.Second))
}
