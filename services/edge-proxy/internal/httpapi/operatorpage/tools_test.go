package operatorpage_test

import (
	"net/http"
	"testing"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestToolsThatAreCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	w.get("/operator/tools").has(t, "tools",
		"3 calls are under way", "2 of them are listed", "<code>demo__slow</code>", `href="/operator/find?q=4711"`,
		`href="/operator/sessions?user=id%3a7">id:7</a> (you)`, ">3 min ago</time>", "listens for changed lists",
		">1,200</td>", `<b class="warn">3</b>`, ">61.2 s</td>", ">250 ms</td>", ">unknown</td>", "<code>other</code>",
		`data-refresh="5000"`, `<a href="/operator/tools" aria-current="page">`)
	w.gateway.Change(func(o *edgetest.Operations) { o.ToolCalls.Silent = []string{"e2", "e3"} })
	w.get("/operator/tools").has(t, "a replica is silent", "No answer from <code>e2</code>, <code>e3</code>.")
}

// A page that is empty says why: nobody called, the setting is off, or nobody answers.
func TestNoToolsSayWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := func(r operatorwire.ToolsResponse) {
		w.gateway.Change(func(o *edgetest.Operations) { o.ToolCalls = r })
	}
	set(operatorwire.ToolsResponse{Replicas: []string{"e1"}})
	off := w.get("/operator/tools")
	off.has(t, "off", "GATEWAY_MCP is off")
	off.hasNot(t, "off", "No tool", "<table")
	set(operatorwire.ToolsResponse{Enabled: true, Replicas: []string{"e1"}})
	w.get("/operator/tools").has(t, "on", "No tool is called now.", "No tool was called yet.", "0 calls are under way")
	set(operatorwire.ToolsResponse{Silent: []string{"e1"}})
	silent := w.get("/operator/tools")
	silent.has(t, "silent", "No answer from <code>e1</code>")
	silent.hasNot(t, "silent", "is off")
	w.gateway.Fail(fault.New(fault.Unavailable, "nats_down", "NATS is down"))
	if got := w.get("/operator/tools"); got.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.get("/operator/tools?x=1"); got.status != http.StatusBadRequest {
		t.Errorf("%d %s", got.status, got.body)
	}
}
