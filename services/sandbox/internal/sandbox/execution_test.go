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
		if v := b.detail(t, id); v.Status != sandbox.StatusRunning || v.CurrentStep != "transform" ||
			len(v.Done) != 2 ||
			v.Steps != 5 {
			t.Errorf("in the middle: %+v", v)
		}
		<-time.After(time.Second)
		synctest.Wait()
		sent := b.callbacks.Sent()
		if len(sent) != 6 {
			t.Fatalf("sent %+v", sent)
		}
		for i, c := range sent[:5] {
			if c.Form != sandbox.FormProgress || c.Progress != float64(i+1)/5 || c.RequestID != "req-1" ||
				c.ExecutionID != id ||
				c.Message == "" ||
				c.First != (i == 0) {
				t.Errorf("progress %d: %+v", i, c)
			}
		}
		if c := sent[5]; c.Form != sandbox.FormResult || c.Status != "COMPLETED" || c.Failure != nil {
			t.Errorf("result: %+v", c)
		}
		if v := b.detail(t, id); v.Callback != "delivered" || v.Status != sandbox.StatusCompleted ||
			v.CurrentStep != "report" {
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
		if c.Status != "FAILED" || c.Failure == nil || c.Failure.Code != -32000 ||
			!strings.Contains(c.Failure.Message, "no stock") ||
			c.Failure.Data["step"] != "fail" {
			t.Errorf("result %+v", c)
		}
		if stored := b.events.Stored(); stored[len(stored)-1] != "playbook.failed playbook FAILED" {
			t.Errorf("events %q", stored)
		}
		if v := b.detail(t, id); v.Status != sandbox.StatusFailed {
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
			if v := b.detail(t, id); v.Status != sandbox.StatusFailed || v.Failure == nil ||
				!strings.Contains(v.Failure.Message, "must be a number") {
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
		if diff := cmp.Diff(sandbox.Workload{"a": "1", "b": "2"}, b.detail(t, out.ExecutionID).Workload); diff != "" {
			t.Error(diff)
		}
		if b.callbacks.Tries() != tries {
			t.Error("the rerun answered the first request")
		}
	})
}

func TestDedupRunsOncePerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		run := func() sandbox.Started {
			out, err := b.Execute(
				t.Context(),
				sandbox.ExecuteRequest{Path: "demo/echo", Dedup: &noetlwire.Dedup{Key: "k", WindowSecs: 10}},
			)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		first := run()
		if again := run(); again.ExecutionID != first.ExecutionID || again.Status != "duplicate" ||
			again.CommandsGenerated != 0 {
			t.Errorf("a duplicate ran: %+v", again)
		}
		<-time.After(11 * time.Second)
		if run().ExecutionID == first.ExecutionID {
			t.Error("the window does not end")
		}
	})
}

// Ingress asks for as long as it keeps deliveries: 7 days, or what INGRESS_DELIVERY_RETENTION_SECS says.
func TestDedupWindowOfWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for window, accepted := range map[int]bool{7 * 86400: true, 366 * 86400: true, 367 * 86400: false, -1: false} {
			_, err := b.Execute(t.Context(), sandbox.ExecuteRequest{
				Path: "demo/echo", Dedup: &noetlwire.Dedup{Key: "k", WindowSecs: window},
			})
			if (err == nil) != accepted {
				t.Errorf("%d s: %v", window, err)
			}
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
		_, err := b.Look(t.Context(), ids[0])
		wantKind(t, err, fault.NotFound)
		if _, err := b.Look(t.Context(), ids[8]); err != nil {
			t.Error(err)
		}
		list, err := b.List(t.Context(), sandbox.ListRequest{Path: "demo/echo", Limit: 2})
		if err != nil || len(list) != 2 || list[0].ExecutionID != ids[8] {
			t.Errorf("newest first: %+v, %v", list, err)
		}
		for name, in := range map[string]sandbox.ListRequest{
			"by offset": {Path: "demo/echo", Limit: 2, Offset: 2}, "by page": {Path: "demo/echo", Limit: 2, Page: 2},
		} {
			next, err := b.List(t.Context(), in)
			if err != nil || len(next) != 2 || next[0].ExecutionID != ids[6] {
				t.Errorf("%s: %+v, %v", name, next, err)
			}
		}
		_, err = b.List(t.Context(), sandbox.ListRequest{Limit: 10001})
		wantKind(t, err, fault.Invalid)
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

func TestABatchStartsWhatItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		v, err := b.Batch(t.Context(), sandbox.BatchRequest{Executions: []sandbox.ExecuteRequest{
			{Path: "demo/echo"}, {Path: "demo/none"}, {Path: "demo/echo", Payload: sandbox.Workload{"a": "1"}},
		}})
		if err != nil || v.Count != 3 || v.Started != 2 || v.Failed != 1 || v.Results[1].Error == "" ||
			v.Results[2].Status != "started" {
			t.Fatalf("%+v, %v", v, err)
		}
		synctest.Wait()
		if d := b.detail(t, v.Results[2].ExecutionID); d.Status != sandbox.StatusCompleted || d.Workload["a"] != "1" {
			t.Errorf("%+v", d)
		}
		_, err = b.Batch(t.Context(), sandbox.BatchRequest{})
		wantKind(t, err, fault.Invalid)
	})
}
