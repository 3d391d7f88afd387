package sdk_test

import (
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

const user = "demo@example.com"

// cuts are between any two steps of a run.
func cuts() map[string]stack.Cut {
	return map[string]stack.Cut{
		"before the stream":          {FromClient: true, Text: "GET /"},
		"before the first frame":     {Text: `"clientId"`},
		"after the first frame":      {Text: `"clientId"`, After: true},
		"before the start":           {FromClient: true, Text: "executePlaybook"},
		"before the start's answer":  {Text: `{"data":{"executePlaybook"`},
		"after the start's answer":   {Text: `{"data":{"executePlaybook"`, After: true},
		"before the first progress":  {Text: "playbook/progress"},
		"after the first progress":   {Text: "playbook/progress", After: true},
		"before the end of a step":   {Text: "step.exit"},
		"before the end":             {Text: "playbook.completed"},
		"before the result":          {Text: "playbook/result"},
		"after the result":           {Text: "playbook/result", After: true},
		"in the middle of a request": {FromClient: true, Text: "POST /graphql", After: true},
	}
}

// A run that is cut between any two of its steps starts once and has its one result.
func TestCutsInNode(t *testing.T) {
	t.Parallel()
	stack.Node(t)
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	t.Run("cut", func(t *testing.T) {
		for name, c := range cuts() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := stack.NewWire(t, p.Ready.Public)
				w.CutWhen(c)
				cutRun(t, inNode(t), w, order{"url": w.URL, "tokens": []string{session}}, name)
			})
		}
	})
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != len(cuts()) {
		t.Errorf("%d executions of %d runs", n, len(cuts()))
	}
}

func cutRun(t *testing.T, c *client, w *stack.Wire, options order, name string) {
	t.Helper()
	c.order(t, "connect", options)
	c.order(t, "run", order{"name": "a", "playbook": "demo/progress", "variables": order{"step_ms": 100, "cut": name}})
	c.settled(t, "a", "five steps")
	if !w.WasCut() {
		t.Errorf("nothing was cut\n%s", c)
	}
	if n := len(c.heard("gap", "")); n > 0 {
		t.Errorf("%d gaps\n%s", n, c)
	}
	states := map[string]int{}
	for _, s := range c.heard("playbook", "a") {
		states[s.Text]++
	}
	if states["playbook.completed"] != 1 {
		t.Errorf("states that came: %v\n%s", states, c)
	}
	if n := len(c.heard("progress", "a")); n != 5 {
		t.Errorf("%d reports of five steps\n%s", n, c)
	}
}

// The same in a page, over both transports.
func TestCutsInChromium(t *testing.T) {
	t.Parallel()
	origin, chromium := pages(t), browser(t)
	p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	for _, transport := range []string{"sse", "websocket"} {
		for name, c := range cuts() {
			t.Run(transport+" "+name, func(t *testing.T) {
				w := stack.NewWire(t, p.Ready.Public)
				w.CutWhen(c)
				page := chromium.newTab(t, origin+"/?library=/gateway-client.js")
				cutRun(t, page.client, w, order{
					"url": w.URL, "tokens": []string{session}, "transport": transport, "share": false,
				}, name)
			})
		}
	}
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != 2*len(cuts()) {
		t.Errorf("%d executions of %d runs", n, 2*len(cuts()))
	}
}
