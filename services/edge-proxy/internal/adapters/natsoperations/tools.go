package natsoperations

import (
	"context"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/natskit"
)

// Tools implements the port. A replica of an older version has no such operation, and is silent.
func (o *Operations) Tools(ctx context.Context) (operatorwire.ToolsResponse, error) {
	answers, err := natskit.Each[operatorwire.Empty, operatorwire.ToolsResponse](
		ctx, o.calls, "edge-proxy", operatorwire.SubjectCalls, operatorwire.Empty{})
	if err != nil {
		return operatorwire.ToolsResponse{}, err
	}
	parts := make([]operatorwire.ToolsResponse, 0, len(answers))
	for _, a := range answers {
		if a.Err != nil {
			parts = append(parts, operatorwire.ToolsResponse{Silent: []string{a.Replica}})
			continue
		}
		a.Value.Replicas, a.Value.Silent = []string{a.Replica}, nil
		for i := range a.Value.Calls {
			a.Value.Calls[i].Replica = a.Replica
		}
		parts = append(parts, a.Value)
	}
	return operatorwire.MergeTools(parts...), nil
}
