// Package frame builds the JSON-RPC 2.0 messages that clients receive over SSE and WebSocket
// (wire contract, section 5). A frame is encoded once and the bytes are stored and sent.
package frame

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// Methods of the notifications.
const (
	MethodPing           = "ping"
	MethodResult         = "playbook/result"
	MethodProgress       = "playbook/progress"
	MethodState          = "playbook/state"
	MethodSubscription   = "subscription/event"
	MethodEnded          = "subscription/ended"
	MethodSessionExpired = "session/expired"
	MethodClosed         = "connection/closed"
	MethodGap            = "gap"
)

// EventMessage is the SSE event name of a response; a notification's is its method.
const EventMessage = "message"

// ProtocolVersion is the revision of the Model Context Protocol whose initialize result the
// first frame follows.
const ProtocolVersion = "2024-11-05"

// Status values of a result.
const (
	StatusCompleted = "COMPLETED"
	StatusFailed    = "FAILED"
)

// CodePlaybookFailed is the error code of a failed playbook.
const CodePlaybookFailed = -32000

// CodeTooLarge is the code in the data of the error that stands for a result that no frame can hold. Only the gateway
// says it, never a worker: its client may fetch the result from the gateway, with its session.
const CodeTooLarge = "result_too_large"

// Elsewhere is the data of such an error. URL is a path of the gateway, "" for a result that was not kept.
type Elsewhere struct {
	Code  string `json:"code"` // CodeTooLarge
	URL   string `json:"url,omitempty"`
	Bytes int64  `json:"bytes"`
}

// Lifecycle events that end an execution.
const (
	EventCompleted = "playbook.completed"
	EventFailed    = "playbook.failed"
	EventCancelled = "playbook.cancelled"
)

// Ends reports whether an event of that type is the last of its execution.
func Ends(eventType string) bool {
	return eventType == EventCompleted || eventType == EventFailed || eventType == EventCancelled
}

// Pending is a request that a reattached client may still get an answer to.
type Pending struct {
	RequestID    string `json:"requestId"`
	ExecutionID  string `json:"executionId"`
	PlaybookPath string `json:"playbookPath"`
}

// Capabilities tell a client what this gateway pushes.
type Capabilities struct {
	Playbooks     bool `json:"playbooks"`
	Callbacks     bool `json:"callbacks"`
	Subscriptions bool `json:"subscriptions"` // of documents: firestore or kv
	PlaybookState bool `json:"playbookState"`
	// SubscriptionSources are what clients can subscribe to: firestore, kv, execution.
	SubscriptionSources []string `json:"subscriptionSources,omitempty"`
}

// InitResult is the result of the first frame.
type InitResult struct {
	ProtocolVersion string       `json:"protocolVersion"`
	ServerInfo      ServerInfo   `json:"serverInfo"`
	ClientID        string       `json:"clientId"`
	Capabilities    Capabilities `json:"capabilities"`
	PendingRequests []Pending    `json:"pendingRequests,omitempty"`
}

// ServerInfo names the server.
type ServerInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// ResultParams are the params of playbook/result. Data is set on success, Error on failure.
type ResultParams struct {
	RequestID   string          `json:"requestId"`
	ExecutionID string          `json:"executionId"`
	Status      string          `json:"status"`
	Data        json.RawMessage `json:"data,omitempty"`
	Error       *Error          `json:"error,omitempty"`
}

// Error is the error member of JSON-RPC 2.0.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// ProgressParams are the params of playbook/progress; Progress is 0 to 1.
type ProgressParams struct {
	RequestID   string  `json:"requestId"`
	ExecutionID string  `json:"executionId"`
	Step        string  `json:"step"`
	Message     string  `json:"message"`
	Progress    float64 `json:"progress"`
}

// StateParams are the params of playbook/state, in snake case as clients expect.
type StateParams struct {
	ExecutionID string  `json:"execution_id"`
	EventType   string  `json:"event_type"`
	StepName    *string `json:"step_name"`
	Status      string  `json:"status"`
	At          string  `json:"at"`
}

// What happened to a document of a subscription.
const (
	OpAdded    = "added"
	OpModified = "modified"
	OpRemoved  = "removed"
)

// SubscriptionParams are the params of subscription/event: one change of one document. Data is null for a document that
// was removed, and for one with TooLarge, which exceeds a frame.
type SubscriptionParams struct {
	SubscriptionID string          `json:"subscription_id"`
	DocID          string          `json:"doc_id"`
	Data           json.RawMessage `json:"data"`
	Op             string          `json:"op"`
	UpdateTime     string          `json:"update_time,omitempty"` // RFC 3339, where the source tells it
	TooLarge       bool            `json:"too_large,omitempty"`
}

// SubscriptionEvent returns a function that makes the notification of one change for each subscription, whose id must
// be a valid id. The change is encoded once, however many there are.
func SubscriptionEvent(p SubscriptionParams) func(subscriptionID string) []byte {
	p.SubscriptionID = ""
	head, tail, _ := bytes.Cut(Notify(MethodSubscription, p), []byte(`"subscription_id":""`))
	return func(id string) []byte {
		return slices.Concat(head, []byte(`"subscription_id":"`+id+`"`), tail)
	}
}

// Reasons why a subscription ends.
const (
	EndedClosed     = "closed"      // by the user
	EndedExpired    = "expired"     // its client had no connection for too long
	EndedSession    = "session"     // the session has ended
	EndedDenied     = "denied"      // the right to view it is gone
	EndedNotFound   = "not_found"   // the source does not know the path
	EndedTooLarge   = "too_large"   // more documents or bytes than one watch may have
	EndedSourceGone = "source_gone" // this gateway no longer has the source
	EndedByOperator = "operator"    // by somebody who runs the gateway
)

// SubscriptionEndedParams are the params of subscription/ended, the last frame of a subscription.
type SubscriptionEndedParams struct {
	SubscriptionID string `json:"subscription_id"`
	Reason         string `json:"reason"`
}

// GapParams tell a client that frames between its last one and Resumed are gone for good
// (older than the retention, or the store was lost): it should fetch the state afresh.
type GapParams struct {
	LastEventID string `json:"lastEventId"`
	Reason      string `json:"reason"`
}

// SessionExpiredParams say why a stream ends.
type SessionExpiredParams struct {
	Reason string `json:"reason"` // expired or revoked
}

// ClosedByOperator is the one reason of [ClosedParams].
const ClosedByOperator = "operator"

// ClosedParams say why a stream ends whose session lives: its client may come back.
type ClosedParams struct {
	Reason string `json:"reason"`
}

type response struct {
	JSONRPC string `json:"jsonrpc"`
	ID      int    `json:"id"`
	Result  any    `json:"result"`
}

type notification struct {
	JSONRPC string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

// Init returns the first frame of a connection.
func Init(r InitResult) []byte {
	r.ProtocolVersion = ProtocolVersion
	return encode(response{"2.0", 1, r})
}

// Notify returns a notification. params must be one of this package's types.
func Notify(method string, params any) []byte {
	return encode(notification{"2.0", method, params})
}

// Ping returns the heartbeat.
func Ping() []byte { return Notify(MethodPing, struct{}{}) }

// Time formats a moment as frames carry it: RFC 3339 in UTC.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// encode cannot fail on the types of this package, but raw members come from outside: an
// invalid one was refused when it was decoded, so a failure here is a defect.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("frame: " + err.Error())
	}
	return b
}
