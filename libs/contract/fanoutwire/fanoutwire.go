// Package fanoutwire is what event-fanout says to the other services over NATS: the life of
// a pending request (ADR 0005).
package fanoutwire

// Subjects of event-fanout's NATS operations.
const (
	SubjectExpect  = "gateway.fanout.v1.expect"
	SubjectBind    = "gateway.fanout.v1.bind"
	SubjectAbandon = "gateway.fanout.v1.abandon"
	// SubjectSubscribe and SubjectUnsubscribe open and close a subscription for a connected client.
	SubjectSubscribe   = "gateway.fanout.v1.subscribe"
	SubjectUnsubscribe = "gateway.fanout.v1.unsubscribe"
)

// SubjectSettle with the name of a source of lifecycle events after it reaches the replica that reads
// that source.
const SubjectSettle = "gateway.fanout.settle."

// ExpectRequest registers a pending request before NoETL is called, so that no answer can
// come before somebody knows whom it is for.
type ExpectRequest struct {
	RequestID string `json:"request_id"`
	ClientID  string `json:"client_id"`
	// Owner is the user who asks ([authwire.User.Owner]); the client must be theirs.
	Owner string `json:"owner"`
	// SessionKey is the hash of the session token, never the token.
	SessionKey   string `json:"session_key"`
	PlaybookPath string `json:"playbook_path"`
	// Attempt is the same when a registration is repeated because its answer did not come, and another
	// for another request: callers may choose request ids, and must not get one that is taken.
	Attempt string `json:"attempt,omitempty"`
	// Kept asks for a client of the request's own, which nobody needs to be connected as: its frames are kept for
	// whoever asks for the outcome, however many others the user makes. ClientID is "" then.
	Kept bool `json:"kept,omitempty"`
	// Listed puts the request among those that its user can list, in the place of those that the first frame of its
	// client's next connection tells. A kept one always is.
	Listed bool `json:"listed,omitempty"`
}

// ExpectResponse is empty.
type ExpectResponse struct{}

// BindRequest says which execution a pending request became. Lifecycle events of the
// execution that came earlier are delivered before the answer.
type BindRequest struct {
	RequestID   string `json:"request_id"`
	ExecutionID string `json:"execution_id"`
}

// Describe is what traces show of it: not the request id, which lets whoever knows it answer.
func (in BindRequest) Describe() []string { return []string{"noetl.execution.id", in.ExecutionID} }

// BindResponse is empty.
type BindResponse struct{}

// AbandonRequest forgets a pending request whose execution did not start.
type AbandonRequest struct {
	RequestID string `json:"request_id"`
}

// AbandonResponse is empty.
type AbandonResponse struct{}
