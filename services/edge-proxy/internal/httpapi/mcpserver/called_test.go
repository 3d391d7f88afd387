package mcpserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/mcpserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// under reads the gauge of calls under way.
func under(t *testing.T, reg prometheus.Gatherer) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		if f.GetName() != "noetl_gateway_mcp_calls_open" {
			continue
		}
		for _, m := range f.GetMetric() {
			fmt.Fprintf(&out, "%s=%v ", label(m), m.GetGauge().GetValue())
		}
	}
	return strings.TrimSpace(out.String())
}

func label(m *dto.Metric) string { return m.GetLabel()[0].GetValue() }

func TestOperatorsSeeWhatIsCalled(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	w := newWorld(t, func(d *mcpserver.Deps) { d.Registry = reg })
	if got := under(t, reg); got != "call=0 listen=0" {
		t.Errorf("before the first call: %s", got)
	}
	for _, body := range []string{
		message("tools/call", `"name":"echo","arguments":{"secret":"canary-argument"}`),
		message("tools/call", `"name":"echo","arguments":{}`),
		message("tools/call", `"name":"fail","arguments":{}`),
		message("tools/call", `"name":"canary-name","arguments":{}`),
		message("tools/list", ""),
	} {
		w.exchange(t, w.request(t.Context(), t, body))
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for _, body := range []string{
		message("tools/call", `"name":"slow","arguments":{}`),
		message("subscriptions/listen", `"notifications":{"toolsListChanged":true}`),
	} {
		r := w.request(ctx, t, body)
		go func() {
			if resp, err := http.DefaultClient.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}()
	}
	var got operatorwire.ToolsResponse
	testkit.Eventually(t, "both are under way", func() bool {
		got = w.server.Called()
		started := len(got.Calls) == 2 && got.Calls[0].ExecutionID+got.Calls[1].ExecutionID != ""
		return started && under(t, reg) == "call=1 listen=1"
	})
	sorted := cmpopts.SortSlices(func(a, b operatorwire.Call) bool { return a.Kind < b.Kind })
	ignored := cmp.Options{
		sorted, cmpopts.IgnoreFields(operatorwire.Call{}, "Since", "ExecutionID"),
		cmpopts.IgnoreFields(operatorwire.ToolCount{}, "MeanSeconds"),
	}
	want := operatorwire.ToolsResponse{
		Enabled: true, Total: 2, Replicas: []string{}, Silent: []string{},
		Calls: []operatorwire.Call{
			{Kind: operatorwire.KindCall, Tool: "slow", Path: "demo/slow", User: "id:7"},
			{Kind: operatorwire.KindListen, User: "id:7"},
		},
		Tools: []operatorwire.ToolCount{
			{Tool: "echo", Path: "demo/echo", Calls: 2},
			{Tool: "fail", Path: "demo/fail", Calls: 1, Errors: 1},
			{Tool: operatorwire.OtherTools, Calls: 1, Errors: 1}, // the one that there is not
		},
	}
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Error(diff)
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, "canary") {
		t.Errorf("what was sent is shown: %s", text)
	}
	leave()
	testkit.Eventually(t, "both have left", func() bool {
		got = w.server.Called()
		return got.Total == 0 && under(t, reg) == "call=0 listen=0"
	})
	if slow := got.Tools[len(got.Tools)-1]; slow.Tool != "slow" || slow.Calls != 1 || slow.Errors != 0 {
		t.Errorf("a call whose client left: %+v", got.Tools)
	}
}

// Calls that go on as tasks do not make the mean, which is then of those that were waited for.
func TestTasksAreCountedApart(t *testing.T) {
	t.Parallel()
	engine, outcomes := &toolstest.Engine{}, toolstest.NewOutcomes()
	outcomes.Put(toolstest.KnownRequest{Owner: "id:7", Outcome: fanoutwire.Outcome{
		OwnRequest: fanoutwire.OwnRequest{RequestID: "r1", CreatedAt: time.Now(), Task: true}, UpdatedAt: time.Now(),
	}})
	w := newWorld(t, func(d *mcpserver.Deps) {
		d.Calls = tools.NewCalls(tools.CallsDeps{
			Gateway: engine, Frames: engine, Outcomes: outcomes, NewID: func() string { return "r1" },
		})
	})
	w.exchange(t, w.request(t.Context(), t, withTasks("tools/call", `"name":"slow","arguments":{}`)))
	want := []operatorwire.ToolCount{{Tool: "slow", Path: "demo/slow", Calls: 1, Tasks: 1}}
	if diff := cmp.Diff(want, w.server.Called().Tools); diff != "" {
		t.Error(diff)
	}
}

// A catalog of any size costs a hundred entries.
func TestCountedToolsAreBounded(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	w := newWorld(t, func(d *mcpserver.Deps) { d.Registry = reg })
	const many = operatorwire.MaxTools + 20
	for i := range many {
		name := fmt.Sprintf("t%d", i)
		w.box.mu.Lock()
		w.box.names = append(w.box.names, name)
		w.box.mu.Unlock()
		w.exchange(t, w.request(t.Context(), t, message("tools/call", `"name":"`+name+`","arguments":{"bad":1}`)))
	}
	got, sum := w.server.Called().Tools, int64(0)
	for _, c := range got {
		sum += c.Calls
	}
	if len(got) != operatorwire.MaxTools+1 || sum != many || got[0].Tool != operatorwire.OtherTools ||
		got[0].Calls != 20 {
		t.Errorf("%d tools, %d calls, first %+v", len(got), sum, got[0])
	}
}
