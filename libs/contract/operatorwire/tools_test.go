package operatorwire_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/operatorwire"
)

func TestToolsOfReplicasAreMerged(t *testing.T) {
	t.Parallel()
	call := func(second int64, replica string) operatorwire.Call {
		return operatorwire.Call{Tool: "echo", Since: time.Unix(second, 0), Replica: replica}
	}
	got := operatorwire.MergeTools(
		operatorwire.ToolsResponse{
			Enabled: true, Total: 300, Calls: []operatorwire.Call{call(1, "b"), call(3, "b")}, Replicas: []string{"b"},
			Tools: []operatorwire.ToolCount{
				{Tool: "echo", Path: "demo/echo", Calls: 4, Tasks: 1, MeanSeconds: 2}, {Tool: "x", Calls: 1, Tasks: 1},
			},
		},
		operatorwire.ToolsResponse{Replicas: []string{"c"}}, // it serves no tools
		operatorwire.ToolsResponse{Silent: []string{"d"}},
		operatorwire.ToolsResponse{
			Enabled: true, Total: 1, Calls: []operatorwire.Call{call(2, "a")}, Replicas: []string{"a"},
			Tools: []operatorwire.ToolCount{
				{Tool: operatorwire.OtherTools, Calls: 5, Errors: 5, MeanSeconds: 1},
				{Tool: "echo", Path: "demo/echo", Calls: 1, Errors: 1, MeanSeconds: 10},
			},
		},
	)
	want := operatorwire.ToolsResponse{
		Enabled: true, Total: 301, Calls: []operatorwire.Call{call(1, "b"), call(2, "a"), call(3, "b")},
		Tools: []operatorwire.ToolCount{
			{Tool: "echo", Path: "demo/echo", Calls: 5, Errors: 1, Tasks: 1, MeanSeconds: 4}, // (3·2 + 1·10) / 4
			{Tool: operatorwire.OtherTools, Calls: 5, Errors: 5, MeanSeconds: 1},
			{Tool: "x", Calls: 1, Tasks: 1},
		},
		Replicas: []string{"a", "b", "c"}, Silent: []string{"d"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Lists are never null, so that clients need not tell the two apart.
func TestMergingNothingIsEmptyLists(t *testing.T) {
	t.Parallel()
	got := operatorwire.MergeTools()
	if got.Enabled || got.Calls == nil || got.Tools == nil || got.Replicas == nil || got.Silent == nil {
		t.Errorf("%+v", got)
	}
}
