package fanout

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Execute starts a playbook for a connected client. edge-proxy decides whether the session may.
func (s *Service) Execute(ctx context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error) {
	switch {
	case in.Name == "":
		return edgewire.ExecuteResponse{}, fault.New(
			fault.Invalid, "no_name", "params.name must be the path of a playbook",
		)
	case in.ResourceKind != "" && in.ResourceKind != noetlwire.KindPlaybook && in.ResourceKind != noetlwire.KindAgent:
		return edgewire.ExecuteResponse{}, fault.New(
			fault.Invalid, "bad_resource_kind", "params.resourceKind must be playbook or agent",
		)
	}
	if err := checkVariables(in.Variables); err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	return s.Commands.Execute(ctx, in)
}

// Rerun runs an execution once more.
func (s *Service) Rerun(ctx context.Context, in edgewire.RerunRequest) (edgewire.ExecuteResponse, error) {
	if !noetlwire.ValidID(in.ExecutionID) {
		return edgewire.ExecuteResponse{}, errBadExecution()
	}
	if err := checkVariables(in.Variables); err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	return s.Commands.Rerun(ctx, in)
}

// Cancel cancels an execution and what it started.
func (s *Service) Cancel(ctx context.Context, in edgewire.CancelRequest) (edgewire.CancelResponse, error) {
	if !noetlwire.ValidID(in.ExecutionID) {
		return edgewire.CancelResponse{}, errBadExecution()
	}
	return s.Commands.Cancel(ctx, in)
}

func checkVariables(v json.RawMessage) error {
	if v = bytes.TrimSpace(v); len(v) > 0 && v[0] != '{' {
		return fault.New(fault.Invalid, "bad_variables", "params.variables must be an object")
	}
	return nil
}

func errBadExecution() error {
	return fault.New(
		fault.Invalid, "bad_execution_id",
		"params.executionId must be a number, or up to 64 letters, digits, - or _",
	)
}
