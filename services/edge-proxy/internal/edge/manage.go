package edge

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// StatusRequest asks how an execution is doing.
type StatusRequest struct {
	Caller      Caller
	ExecutionID string
}

// CancelRequest ends an execution and what it started.
type CancelRequest struct {
	Caller      Caller
	ExecutionID string
	Reason      string
}

// CancelResponse says that NoETL took the request.
type CancelResponse struct {
	ExecutionID string
	Status      string
}

// maxReason bounds the reason of a cancellation, in bytes.
const maxReason = 500

// Status returns how an execution is doing.
func (s *Service) Status(ctx context.Context, in StatusRequest) (noetlwire.Execution, error) {
	if err := s.use(ctx, in.Caller, ReadExecution, in.ExecutionID); err != nil {
		return noetlwire.Execution{}, err
	}
	out, err := s.Executions.Status(ctx, in.ExecutionID)
	if err != nil {
		return out, err
	}
	if out.Path == "" { // no server's status tells it; it was asked for to judge the call, and is remembered
		out.Path, _ = s.origin(ctx, in.ExecutionID)
	}
	if out.ExecutionID == "" {
		out.ExecutionID = noetlwire.ID(in.ExecutionID)
	}
	state := out.State()
	if out.Status == "" && out.CompletionInferred && state == noetlwire.Completed && !quiet(out.EndTime) {
		state = noetlwire.Running
	}
	return told(out, state), nil
}

// inferredAfter is how long nothing must have happened in an execution before it is believed to be
// complete where its server only infers that.
const inferredAfter = 2 * time.Second

// quiet reports whether the last thing happened long ago.
func quiet(endTime string) bool {
	at, err := time.Parse(time.RFC3339, endTime)
	return err != nil || time.Since(at) > inferredAfter
}

// told is an execution in the words and in the flags, of which each generation of servers tells only one.
// Whoever polls the flags waits for one of them: an execution that is over is completed unless it failed,
// and the word tells a cancelled one.
func told(out noetlwire.Execution, state noetlwire.State) noetlwire.Execution {
	out.Status = string(state)
	if out.Completed == nil && state != "" {
		completed := state == noetlwire.Completed
		out.Completed = &completed
	}
	if out.Failed == nil && state != "" {
		failed := state == noetlwire.Failed
		out.Failed = &failed
	}
	yes, no := true, false
	switch state {
	case noetlwire.Running:
		out.Completed, out.Failed = &no, &no
	case noetlwire.Cancelled:
		out.Completed, out.Failed = &yes, &no
	case noetlwire.Completed, noetlwire.Failed: // as they are
	}
	return out
}

// ViewExecutionRequest asks whether a caller may follow an execution.
type ViewExecutionRequest struct {
	Caller      Caller
	ExecutionID string
}

// ViewExecutionResponse names the playbook of an execution that may be followed, "" where NoETL does not tell it.
type ViewExecutionResponse struct{ PlaybookPath string }

// ViewExecution decides as [Service.Status] does, and asks NoETL only what the execution runs, once.
func (s *Service) ViewExecution(ctx context.Context, in ViewExecutionRequest) (ViewExecutionResponse, error) {
	if err := s.use(ctx, in.Caller, ReadExecution, in.ExecutionID); err != nil {
		return ViewExecutionResponse{}, err
	}
	path, err := s.origin(ctx, in.ExecutionID)
	if err != nil && fault.Of(err).Code != noetlwire.CodeNoPath {
		return ViewExecutionResponse{}, err
	}
	return ViewExecutionResponse{PlaybookPath: path}, nil
}

// Cancel ends an execution, and what it started.
func (s *Service) Cancel(ctx context.Context, in CancelRequest) (CancelResponse, error) {
	if err := s.use(ctx, in.Caller, ChangeExecution, in.ExecutionID); err != nil {
		return CancelResponse{}, err
	}
	if len(in.Reason) > maxReason || strings.ContainsFunc(in.Reason, unicode.IsControl) {
		return CancelResponse{}, fault.New(
			fault.Invalid, "bad_reason", "reason may have at most 500 bytes and no control characters",
		)
	}
	if in.Reason == "" {
		in.Reason = "cancelled by its user"
	}
	if err := s.Executions.Cancel(ctx, in.ExecutionID, in.Reason, true); err != nil {
		return CancelResponse{}, err
	}
	return CancelResponse{ExecutionID: in.ExecutionID, Status: "cancelled"}, nil
}
