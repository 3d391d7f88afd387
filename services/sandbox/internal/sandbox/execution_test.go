package sandbox_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

func TestProgressReportsFiveStepsAndThenItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.begin(t, "demo/progress", sandbox.Workload{"step_ms": json.Number("300")})
		<-time.After(750 * time.Millisecond) // bubble time
		synctest.Wait()
		status, err := b.Status(t.Context(), id)
		if err != nil || status.Status != sandbox.StatusRunning || status.CurrentStep != "transform" || status.Progress != 0.4 {
			t.Errorf("in the middle: %+v, %v", status, err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		want := []string{"playbook.started  started"}
		for _, s := range []string{"prepare", "extract", "transform", "load", "report"} {
			want = append(want, "step.enter "+s+" running", "step.exit "+s+" completed")
		}
		want = append(want, "playbook.completed  completed")
		if diff := cmp.Diff(want, b.events.Stored()); diff != "" {
			t.Error(diff)
		}
		sent := b.callbacks.Sent()
		if len(sent) != 6 {
			t.Fatalf("sent %+v", sent)
		}
		for i, c := range sent[:5] {
			if c.Form != sandbox.FormProgress || c.Progress != float64(i+1)/5 || c.RequestID != "req-1" || c.ExecutionID != id || c.Message == "" {
				t.Errorf("progress %d: %+v", i, c)
			}
		}
		if c := sent[5]; c.Form != sandbox.FormResult || c.Status != "COMPLETED" || c.Failure != nil {
			t.Errorf("result: %+v", c)
		}
		if v := b.detail(t, id); v.Callback != "delivered" || v.Status != sandbox.StatusCompleted || v.Progress != 1 {
			t.Errorf("detail: %+v", v)
		}
	})
}

func TestEchoKeepsLargeNumbersAndReturnsOnlyTheVariables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var w sandbox.Workload
		if err := json.Unmarshal([]byte(`{"big":9007199254740993,"list":[1]}`), &w); err != nil {
			t.Fatal(err)
		}
		b.begin(t, "demo/echo", w)
		synctest.Wait()
		sent := b.callbacks.Sent()
		got, err := json.Marshal(sent[len(sent)-1].Data)
		if want := `{"big":9007199254740993,"list":[1]}`; err != nil || string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestFailTellsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.begin(t, "demo/fail", sandbox.Workload{"message": "no stock"})
		synctest.Wait()
		sent := b.callbacks.Sent()
		c := sent[len(sent)-1]
		if c.Status != "FAILED" || c.Failure == nil || c.Failure.Code != -32000 || !strings.Contains(c.Failure.Message, "no stock") || c.Failure.Data["step"] != "fail" {
			t.Errorf("result %+v", c)
		}
		if stored := b.events.Stored(); stored[len(stored)-1] != "playbook.failed  failed" {
			t.Errorf("events %q", stored)
		}
		if v := b.detail(t, id); !v.Failed || v.Completed {
			t.Errorf("detail %+v", v)
		}
	})
}

func TestABadVariableFailsTheExecutionInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for path, w := range map[string]sandbox.Workload{
			"demo/slow": {"seconds": json.Number("61")}, "demo/progress": {"step_ms": "soon"},
		} {
			id := b.begin(t, path, w)
			synctest.Wait()
			if v := b.detail(t, id); v.Status != sandbox.StatusFailed || v.Error == nil || !strings.Contains(v.Error.Message, "must be a number") {
				t.Errorf("%s: %+v", path, v)
			}
		}
	})
}

func TestRefusalsOfExecute(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		in   sandbox.ExecuteRequest
		want fault.Kind
	}{
		{sandbox.ExecuteRequest{}, fault.Invalid},
		{sandbox.ExecuteRequest{Path: "demo/none"}, fault.NotFound},
		{sandbox.ExecuteRequest{CatalogID: "7"}, fault.NotFound},
		{sandbox.ExecuteRequest{Path: "demo/echo", ResourceKind: "robot"}, fault.Invalid},
		{sandbox.ExecuteRequest{Path: "demo/echo", Dedup: &noetlwire.Dedup{Key: "k", WindowSecs: -1}}, fault.Invalid},
	} {
		_, err := b.Execute(t.Context(), c.in)
		wantKind(t, err, c.want)
	}
}

func TestIDsAreSnowflakesThatNoFloatHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		seen := map[noetlwire.ID]bool{}
		for range 100 {
			id := b.begin(t, "demo/echo", nil)
			n, err := strconv.ParseInt(string(id), 10, 64)
			if err != nil || n <= 1<<53 || int64(float64(n)) == n || seen[id] {
				t.Fatalf("id %s, %v, seen %v", id, err, seen[id])
			}
			seen[id] = true
		}
	})
}

func TestCancelEndsTheExecutionAndItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		parent := b.begin(t, "demo/slow", sandbox.Workload{"seconds": json.Number("60")})
		child, err := b.Rerun(t.Context(), sandbox.RerunRequest{ExecutionID: parent})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		v, err := b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: parent, Reason: "login deadline", Cascade: true})
		if err != nil || len(v.Cancelled) != 2 {
			t.Fatalf("%+v, %v", v, err)
		}
		synctest.Wait()
		for _, id := range []noetlwire.ID{parent, child.ExecutionID} {
			if d := b.detail(t, id); d.Status != sandbox.StatusCancelled || !strings.Contains(d.Error.Message, "login deadline") {
				t.Errorf("%+v", d)
			}
		}
		sent := b.callbacks.Sent()
		if c := sent[len(sent)-1]; c.Form != sandbox.FormResult || c.Status != "FAILED" {
			t.Errorf("callback %+v", c)
		}
		again, err := b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: parent})
		if err != nil || len(again.Cancelled) != 0 || again.Status != sandbox.StatusCancelled {
			t.Errorf("second cancel: %+v, %v", again, err)
		}
		_, err = b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: "5"})
		wantKind(t, err, fault.NotFound)
	})
}

func TestRerunOverlaysTheVariablesButNotTheAnswerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		first := b.begin(t, "demo/echo", sandbox.Workload{"a": "1", "b": "1"})
		synctest.Wait()
		tries := b.callbacks.Tries()
		out, err := b.Rerun(t.Context(), sandbox.RerunRequest{ExecutionID: first, Workload: sandbox.Workload{"b": "2"}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		v, err := b.Vars(t.Context(), out.ExecutionID)
		if diff := cmp.Diff(map[string]any{"a": "1", "b": "2"}, v.Variables); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if b.callbacks.Tries() != tries {
			t.Error("the rerun answered the first request")
		}
	})
}

func TestDedupRunsOncePerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		run := func() noetlwire.ID {
			out, err := b.Execute(t.Context(), sandbox.ExecuteRequest{Path: "demo/echo", Dedup: &noetlwire.Dedup{Key: "k", WindowSecs: 10}})
			if err != nil {
				t.Fatal(err)
			}
			return out.ExecutionID
		}
		first := run()
		if run() != first {
			t.Error("a duplicate ran")
		}
		<-time.After(11 * time.Second)
		if run() == first {
			t.Error("the window does not end")
		}
	})
}

func TestTheStoreIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		big := strings.Repeat("x", 9<<20)
		var ids []noetlwire.ID
		for range 9 { // twice 9 MiB each, workload and result
			ids = append(ids, b.begin(t, "demo/echo", sandbox.Workload{"big": big}))
			synctest.Wait()
		}
		_, err := b.Status(t.Context(), ids[0])
		wantKind(t, err, fault.NotFound)
		if _, err := b.Status(t.Context(), ids[8]); err != nil {
			t.Error(err)
		}
		list, err := b.List(t.Context(), sandbox.ListRequest{Path: "demo/echo", Limit: 2})
		if err != nil || list.Count != 2 || list.Executions[0].ExecutionID != ids[8] {
			t.Errorf("newest first: %+v, %v", list, err)
		}
		_, err = b.List(t.Context(), sandbox.ListRequest{Limit: 10001})
		wantKind(t, err, fault.Invalid)
	})
}

func TestViewsShowNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		token := idToken("demo@example.com")
		id := b.begin(t, sandbox.PathLogin, sandbox.Workload{"auth0_token": token, "auth0_refresh_token": "refresh-me"})
		synctest.Wait()
		session := b.callbacks.Sent()[0].Data.(map[string]any)["session_token"].(string)
		vars, err := b.Vars(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		views, err := json.Marshal([]any{b.detail(t, id), vars})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{token, "refresh-me", session, "req-1"} {
			if strings.Contains(string(views), secret) {
				t.Errorf("a view shows %q", secret)
			}
		}
	})
}

func TestStoppingLetsShortExecutionsEndAndEndsLongOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		short := b.begin(t, "demo/slow", sandbox.Workload{"seconds": json.Number("1")})
		long := b.begin(t, "demo/slow", sandbox.Workload{"seconds": json.Number("60")})
		synctest.Wait()
		begin := time.Now()
		b.stop()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if v := b.detail(t, short); v.Status != sandbox.StatusCompleted || v.Callback != "delivered" {
			t.Errorf("short: %+v", v)
		}
		if v := b.detail(t, long); v.Status != sandbox.StatusFailed {
			t.Errorf("long: %+v", v)
		}
		_, err := b.Execute(t.Context(), sandbox.ExecuteRequest{Path: "demo/echo"})
		wantKind(t, err, fault.Unavailable)
	})
}
