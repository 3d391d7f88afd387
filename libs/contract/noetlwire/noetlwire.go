// Package noetlwire is what noetl-server 3.x is asked and answers (wire contract, section 10).
package noetlwire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// ID is an execution id: a 64-bit snowflake, held as text so that it never passes through a
// float. It decodes from a JSON string or number.
type ID string

// UnmarshalJSON accepts "123", 123 and null (empty).
func (id *ID) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.Equal(b, []byte("null")):
		*id = ""
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*id = ID(s)
	default:
		if _, err := strconv.ParseUint(string(b), 10, 64); err != nil {
			if _, err = strconv.ParseInt(string(b), 10, 64); err != nil {
				return errors.New("an id must be a whole number or a string")
			}
		}
		*id = ID(b)
	}
	return nil
}

// CodeBadExecutionID is the code of the fault of an execution id that is not what it must be.
const CodeBadExecutionID = "bad_execution_id"

// What an execution id must be, for messages: "execution_id must be " + IDRule. Whoever chooses a shard, or passes a
// path on that several servers read, needs the number; every other place takes any [ValidID].
const (
	IDRule     = "1 to 64 letters, digits, - or _"
	NumberRule = "a whole number of 64 bits, in decimal digits without leading zeros"
)

// Valid is [ValidID].
func (id ID) Valid() bool { return ValidID(string(id)) }

// ValidID reports whether s is 1 to 64 letters, digits, - or _: safe as one token of a NATS
// subject, as a KV key and as a path segment.
func ValidID(s string) bool { return Plain(s, 64, "-_") }

// Plain reports whether s is 1 to limit letters and digits of ASCII, and characters of others.
func Plain(s string, limit int, others string) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

// CodeUnreachable is the code of the fault of a call that surely did not reach NoETL: nothing
// was started, and sending it again cannot start anything twice.
const CodeUnreachable = "noetl_unreachable"

// CodeNoPath is the code of the fault of an answer that does not say which playbook an execution runs.
const CodeNoPath = "noetl_no_path"

// ResourceKind values of an execution.
const (
	KindPlaybook = "playbook"
	KindAgent    = "agent"
)

// ExecuteRequest is the body of POST /api/execute.
type ExecuteRequest struct {
	Path              string         `json:"path,omitempty"`
	CatalogID         string         `json:"catalog_id,omitempty"`
	Workload          map[string]any `json:"workload"`
	ResourceKind      string         `json:"resource_kind,omitempty"`
	ExecutionPool     string         `json:"execution_pool,omitempty"`
	Trace             map[string]any `json:"trace,omitempty"`
	ParentExecutionID *int64         `json:"parent_execution_id,omitempty"`
	Dedup             *Dedup         `json:"dedup,omitempty"`
}

// Dedup asks NoETL to run at most one execution per key in a window.
type Dedup struct {
	Key        string `json:"key"`
	WindowSecs int    `json:"window_secs"`
}

// ExecuteResponse is the answer to execute and rerun.
type ExecuteResponse struct {
	ExecutionID ID     `json:"execution_id"`
	Status      string `json:"status"`
	Name        string `json:"name,omitempty"`
	Path        string `json:"path,omitempty"`
}

// RerunRequest is the body of POST /api/executions/{id}/rerun.
type RerunRequest struct {
	Workload     map[string]any `json:"workload"`
	ResourceKind string         `json:"resource_kind"`
}

// CancelRequest is the body of POST /api/executions/{id}/cancel.
type CancelRequest struct {
	Reason  string `json:"reason"`
	Cascade bool   `json:"cascade"`
}

// Listener is the answer to GET /api/internal/ingress/{listener} (wire contract, section 9).
type Listener struct {
	Listener       string          `json:"listener"`
	CatalogPath    string          `json:"catalog_path"`
	Source         string          `json:"source"` // webhook or pubsub
	SubscriptionID ID              `json:"subscription_id"`
	Verify         Verify          `json:"verify"`
	Dispatch       Dispatch        `json:"dispatch"`
	Directives     json.RawMessage `json:"directives,omitempty"`
}

// Verify says how a delivery is verified. Secret must never be logged.
type Verify struct {
	Type           string `json:"type"`
	Header         string `json:"header,omitempty"`
	Secret         string `json:"secret,omitempty"`
	Audience       string `json:"audience,omitempty"`
	ServiceAccount string `json:"service_account,omitempty"`
}

// Dispatch says what a verified delivery starts.
type Dispatch struct {
	Playbook      string `json:"playbook"`
	PayloadFrom   string `json:"payload_from,omitempty"`
	ExecutionPool string `json:"execution_pool,omitempty"`
}

// Execution is what NoETL tells about an execution; GET /api/executions/{id} and …/status give some of it
// each, and every generation gives some of it.
type Execution struct {
	ExecutionID ID              `json:"execution_id"`
	Path        string          `json:"path,omitempty"`
	Name        string          `json:"name,omitempty"`
	Status      string          `json:"status,omitempty"`
	CurrentStep string          `json:"current_step,omitempty"`
	Error       json.RawMessage `json:"error,omitempty"`
	Result      json.RawMessage `json:"result,omitempty"`
	Completed   *bool           `json:"completed,omitempty"`
	Failed      *bool           `json:"failed,omitempty"`
	IsCancelled *bool           `json:"is_cancelled,omitempty"`
	StartTime   string          `json:"start_time,omitempty"`
	EndTime     string          `json:"end_time,omitempty"`
	// CompletionInferred says that Completed is a guess: no command is pending, which is so between two steps too.
	CompletionInferred bool `json:"completion_inferred,omitempty"`
}

// State is how an execution is doing, in the words of the Rust server.
type State string

// The states. Another word of a server is a State too.
const (
	Running   State = "RUNNING"
	Completed State = "COMPLETED"
	Failed    State = "FAILED"
	Cancelled State = "CANCELLED"
)

// Ended reports whether nothing more happens in the execution.
func (s State) Ended() bool { return s == Completed || s == Failed || s == Cancelled }

// State returns the word that the server said, or what its flags mean: the Python server says no word.
func (e Execution) State() State {
	yes := func(b *bool) bool { return b != nil && *b }
	switch {
	case e.Status != "":
		return State(strings.ToUpper(e.Status))
	case yes(e.IsCancelled):
		return Cancelled
	case yes(e.Failed):
		return Failed
	case yes(e.Completed):
		return Completed
	case e.Completed == nil && e.Failed == nil:
		return ""
	}
	return Running
}
