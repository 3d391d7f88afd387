package mcpserver_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func call(ctx context.Context, session *mcp.ClientSession, name string, arguments any) (*mcp.CallToolResult, error) {
	return session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
}

func text(t *testing.T, r *mcp.CallToolResult) string {
	t.Helper()
	if len(r.Content) == 0 {
		t.Fatal("no content")
	}
	content, ok := r.Content[0].(*mcp.TextContent)
	if !ok {
		t.Fatalf("content is %T", r.Content[0])
	}
	return content.Text
}

// eventually waits until something holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not come true")
		}
	}
}

// running returns the one execution, once there is one.
func (w *world) running(t *testing.T) (x *toolstest.Execution) {
	t.Helper()
	eventually(t, func() bool {
		x = w.engine.Last()
		return x != nil
	})
	return x
}

func TestTheClientOfTheSDK(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.client(t, nil)
	var names []string
	for tool, err := range session.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tool.Name)
	}
	if diff := cmp.Diff([]string{"echo", "fail", "progress", "silent", "slow"}, names); diff != "" {
		t.Error(diff)
	}
	result, err := call(t.Context(), session, "echo", map[string]any{"n": json.Number("9007199254740993"), "t": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, result); result.IsError || !strings.Contains(got, `"n":9007199254740993`) {
		t.Errorf("%+v %s", result, got)
	}
	structured, err := json.Marshal(result.StructuredContent)
	if err != nil || !strings.Contains(string(structured), `"t":"x"`) {
		t.Errorf("structured %s, %v", structured, err)
	}
	if id, _ := result.Meta["io.noetl/executionId"].(string); w.engine.Find(id) == nil {
		t.Errorf("_meta %v", result.Meta)
	}
	if result, err = call(t.Context(), session, "fail", nil); err != nil || !result.IsError ||
		text(t, result) != "the warehouse is closed" {
		t.Errorf("%+v %v", result, err)
	}
	_, err = call(t.Context(), session, "nobody", nil)
	if err == nil || !strings.Contains(err.Error(), "no such tool") {
		t.Errorf("unknown: %v", err)
	}
	if result, err = call(t.Context(), session, "echo", map[string]any{"bad": 1}); err != nil || !result.IsError {
		t.Errorf("bad arguments: %+v %v", result, err)
	}
	if w.engine.Streams() != 1 {
		t.Errorf("%d streams for one session", w.engine.Streams())
	}
}

func TestProgressRises(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	var told []float64
	session := w.client(t, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, r.Params.Progress)
		},
	})
	p := &mcp.CallToolParams{Name: "progress"}
	p.SetProgressToken("p-1")
	if _, err := session.CallTool(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	// The SDK's client hands notifications on beside the result.
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) > 0 && told[len(told)-1] == 100
	})
	mu.Lock()
	defer mu.Unlock()
	for i := 1; i < len(told); i++ {
		if told[i] <= told[i-1] {
			t.Errorf("progress %v", told)
		}
	}
	if len(told) != 5 {
		t.Errorf("progress %v", told)
	}
}

func TestACallWhoseClientLeavesIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.client(t, nil)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := call(ctx, session, "slow", nil)
		done <- err
	}()
	x := w.running(t)
	leave()
	if err := <-done; err == nil {
		t.Error("the call did not end")
	}
	select {
	case <-x.Cancelled:
	case <-time.After(10 * time.Second):
		t.Fatal("the execution goes on")
	}
}

func TestARevokedSessionEndsItsCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.client(t, nil)
	done := make(chan error, 1)
	go func() {
		_, err := call(t.Context(), session, "slow", nil)
		done <- err
	}()
	x := w.running(t)
	w.revoke()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "session has ended") {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the call goes on")
	}
	select {
	case <-x.Cancelled:
	case <-time.After(10 * time.Second):
		t.Fatal("the execution goes on")
	}
	if reason := x.Reason(); !strings.Contains(reason, "session") {
		t.Errorf("reason %q", reason)
	}
}
