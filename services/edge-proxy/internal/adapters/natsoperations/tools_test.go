package natsoperations_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsoperations"
)

func TestToolsOfAllReplicas(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	o := natsoperations.New(natskit.NewClient(n.Connect(t), telemetry.Nop("edge")))
	if _, err := o.Tools(t.Context()); !fault.IsOutage(err) {
		t.Errorf("nobody serves: %v", err)
	}
	row := func(answer func() (operatorwire.ToolsResponse, error)) natskit.Endpoint {
		return natskit.HandleEach(kit.Observer{}, operatorwire.SubjectCalls, "calls", kit.Limits{},
			func(context.Context, operatorwire.Empty) (operatorwire.ToolsResponse, error) { return answer() })
	}
	at := time.Unix(7, 0).UTC()
	serve(t, n, "edge-proxy", "e1", row(func() (operatorwire.ToolsResponse, error) {
		return operatorwire.ToolsResponse{
			Enabled: true, Total: 1, Calls: []operatorwire.Call{{Kind: "call", Tool: "echo", User: "id:7", Since: at}},
			Tools: []operatorwire.ToolCount{{Tool: "echo", Calls: 1}}, Replicas: []string{"somebody else"},
		}, nil
	}))
	serve(t, n, "edge-proxy", "e2", row(func() (operatorwire.ToolsResponse, error) {
		return operatorwire.ToolsResponse{Enabled: true, Tools: []operatorwire.ToolCount{{Tool: "echo", Calls: 2}}}, nil
	}))
	serve(t, n, "edge-proxy", "e3", row(func() (operatorwire.ToolsResponse, error) {
		return operatorwire.ToolsResponse{}, fault.New(fault.Internal, "broken", "broken")
	}))
	var got operatorwire.ToolsResponse
	testkit.Eventually(t, "all replicas answer", func() bool {
		var err error
		got, err = o.Tools(t.Context())
		return err == nil && len(got.Replicas) == 2 && len(got.Silent) == 1
	})
	want := operatorwire.ToolsResponse{
		Enabled: true, Total: 1,
		Calls:    []operatorwire.Call{{Kind: "call", Tool: "echo", User: "id:7", Since: at, Replica: "e1"}},
		Tools:    []operatorwire.ToolCount{{Tool: "echo", Calls: 3}},
		Replicas: []string{"e1", "e2"}, Silent: []string{"e3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
