// Package edgewire is what edge-proxy does for the other services over NATS: it owns all that
// goes toward NoETL for a user, so a command that came in over a WebSocket is handed to it.
package edgewire

import "encoding/json"

// Subjects of edge-proxy's NATS operations.
const (
	SubjectExecute = "gateway.edge.v1.execute"
	SubjectRerun   = "gateway.edge.v1.rerun"
	SubjectCancel  = "gateway.edge.v1.cancel"
	// SubjectViewExecution decides whether a session may view an execution.
	SubjectViewExecution = "gateway.edge.v1.view-execution"
	// SubjectCancelCall ends a call of a tool, in whichever replica it runs: every replica answers.
	SubjectCancelCall = "gateway.edge.v1.cancel-call"
)

// CancelCallRequest names a call by a hash of its session's token, its client and its number.
type CancelCallRequest struct {
	Call string `json:"call"`
}

// CancelCallResponse is empty.
type CancelCallResponse struct{}

// ExecuteRequest starts a playbook in the name of a session. edge-proxy resolves the session and
// decides whether it may.
type ExecuteRequest struct {
	SessionToken string          `json:"session_token"`
	ClientID     string          `json:"client_id,omitempty"`
	RequestID    string          `json:"request_id,omitempty"` // the caller's choice; empty for a fresh one
	Name         string          `json:"name"`
	Variables    json.RawMessage `json:"variables,omitempty"`     // a JSON object, or nothing
	ResourceKind string          `json:"resource_kind,omitempty"` // playbook (the default) or agent
}

// Describe is what traces show of it.
func (in ExecuteRequest) Describe() []string { return []string{"noetl.playbook.path", in.Name} }

// RerunRequest runs an execution once more.
type RerunRequest struct {
	SessionToken string          `json:"session_token"`
	ClientID     string          `json:"client_id,omitempty"`
	RequestID    string          `json:"request_id,omitempty"` // the caller's choice; empty for a fresh one
	ExecutionID  string          `json:"execution_id"`
	Variables    json.RawMessage `json:"variables,omitempty"`
}

// Describe is what traces show of it.
func (in RerunRequest) Describe() []string { return []string{"noetl.execution.id", in.ExecutionID} }

// ExecuteResponse is the answer to both.
type ExecuteResponse struct {
	RequestID   string `json:"request_id,omitempty"` // empty without a client id
	ExecutionID string `json:"execution_id"`
	Name        string `json:"name,omitempty"`
	Status      string `json:"status,omitempty"`
}

// Describe is what traces show of it.
func (out ExecuteResponse) Describe() []string {
	return []string{"noetl.execution.id", out.ExecutionID}
}

// CancelRequest cancels an execution and those that it started.
type CancelRequest struct {
	SessionToken string `json:"session_token"`
	ExecutionID  string `json:"execution_id"`
	Reason       string `json:"reason,omitempty"`
}

// CancelResponse says what became of the execution.
type CancelResponse struct {
	ExecutionID string `json:"execution_id"`
	Status      string `json:"status"`
}

// ViewExecutionRequest asks whether a session may view an execution. The answer is the fault NotFound for one that
// NoETL does not know, and Denied for one whose playbook the user may not view.
type ViewExecutionRequest struct {
	SessionToken string `json:"session_token"`
	ExecutionID  string `json:"execution_id"`
}

// Describe is what traces show of it.
func (in ViewExecutionRequest) Describe() []string {
	return []string{"noetl.execution.id", in.ExecutionID}
}

// ViewExecutionResponse names the playbook of an execution that may be viewed.
type ViewExecutionResponse struct {
	PlaybookPath string `json:"playbook_path"`
}
