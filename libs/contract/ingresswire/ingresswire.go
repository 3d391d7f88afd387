// Package ingresswire is what ingress does for operators over NATS: it owns the inbox of deliveries and its listeners.
// edge-proxy asks in the name of a session that has an operator's role; ingress does not look at sessions.
package ingresswire

import (
	"encoding/json"
	"time"
)

// Subjects of ingress' NATS operations. Any replica answers.
const (
	SubjectListeners  = "gateway.ingress.v1.listeners"
	SubjectDeliveries = "gateway.ingress.v1.deliveries"
	SubjectDelivery   = "gateway.ingress.v1.delivery"
	SubjectRedrive    = "gateway.ingress.v1.redrive"
	SubjectDiscard    = "gateway.ingress.v1.discard"
	SubjectPause      = "gateway.ingress.v1.pause"
	SubjectResume     = "gateway.ingress.v1.resume"
	SubjectRedriveAll = "gateway.ingress.v1.redrive-listener"
	SubjectTryRules   = "gateway.ingress.v1.try-rules"
)

// SubjectEvents is the subject of the live tail; the token of the listener ([Token]) follows it. A message is a
// [Delivery] in JSON. What is sent while nobody listens is gone: the list has it.
const SubjectEvents = "gateway.ingress.events.v1."

// Token is a listener's name as one token of a subject. Names hold letters, digits, "-", "_" and ".".
func Token(listener string) string {
	token := []byte(listener)
	for i, c := range token {
		if c == '.' {
			token[i] = '='
		}
	}
	return string(token)
}

// State says what became of a delivery.
type State string

// The states of a delivery.
const (
	// Waiting is stored and not dispatched yet: NoETL is slow or unavailable, or the listener is paused.
	Waiting State = "waiting"
	// Dispatched has an execution.
	Dispatched State = "dispatched"
	// Dead is not tried again unless an operator redrives it.
	Dead State = "dead"
	// Discarded was dead, and an operator gave it up.
	Discarded State = "discarded"
	// Filtered was dropped by the listener's rule; it starts nothing.
	Filtered State = "filtered"
	// Conflicting has the id of an earlier delivery and other bytes; it starts nothing.
	Conflicting State = "conflicting"
	// Rejected was not genuine, or not acceptable; it starts nothing, and only a part of it is kept.
	Rejected State = "rejected"
)

// States returns all states, in the order in which people look for them.
func States() []State {
	return []State{Waiting, Dead, Rejected, Conflicting, Dispatched, Filtered, Discarded}
}

// Delivery is what lists show of a delivery.
type Delivery struct {
	ID          string    `json:"id"`
	Listener    string    `json:"listener"`
	State       State     `json:"state"`
	ReceivedAt  time.Time `json:"received_at"`
	ChangedAt   time.Time `json:"changed_at"`
	MessageID   string    `json:"message_id,omitempty"` // the sender's
	Bytes       int64     `json:"bytes"`
	Attempts    int       `json:"attempts"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	Playbook    string    `json:"playbook,omitempty"`
	ExecutionID string    `json:"execution_id,omitempty"`
	Reason      string    `json:"reason,omitempty"` // a code: why it is dead, rejected, filtered or waiting
	Duplicates  int       `json:"duplicates,omitempty"`
	TraceID     string    `json:"trace_id,omitempty"`
}

// Attempt is one try to dispatch a delivery.
type Attempt struct {
	At       time.Time `json:"at"`
	Seconds  float64   `json:"seconds"`
	Status   int       `json:"status,omitempty"` // of NoETL's answer, 0 without one
	Code     string    `json:"code,omitempty"`   // empty if it was dispatched
	Message  string    `json:"message,omitempty"`
	Replica  string    `json:"replica,omitempty"`
	Redriven bool      `json:"redriven,omitempty"`
}

// Verification explains how a delivery was checked. It never holds a secret or an expected signature.
type Verification struct {
	Type   string `json:"type"`
	Result string `json:"result"` // verified, or the reason of the rejection
	Detail string `json:"detail,omitempty"`
	// SignedString describes what was signed, such as "{timestamp}.{body}"; SignedSHA256 is the hash of that string.
	SignedString string `json:"signed_string,omitempty"`
	SignedSHA256 string `json:"signed_sha256,omitempty"`
	// SkewSeconds is the sender's time less ours, if it sends one.
	SkewSeconds *float64 `json:"skew_seconds,omitempty"`
	// Secret names the secret that matched by its place in the configuration, from 1.
	Secret int `json:"secret,omitempty"`
}

// Detail is one delivery with all that is kept of it.
type Detail struct {
	Delivery

	ListenerVersion string            `json:"listener_version,omitempty"`
	Headers         map[string]string `json:"headers"` // credentials and signatures are masked
	Body            string            `json:"body"`
	BodyEncoding    string            `json:"body_encoding,omitempty"` // base64, or empty for text
	BodyTruncated   bool              `json:"body_truncated,omitempty"`
	BodySHA256      string            `json:"body_sha256,omitempty"`
	Verification    Verification      `json:"verification"`
	AttemptsMade    []Attempt         `json:"attempts_made"` // the last ones, oldest first
	Client          string            `json:"client,omitempty"`
	ConflictsWith   string            `json:"conflicts_with,omitempty"`
}

// DeliveriesRequest lists deliveries, those that changed last first.
type DeliveriesRequest struct {
	Listener string    `json:"listener,omitempty"`
	State    State     `json:"state,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	// Query is text that the id, the sender's id, the execution id, the playbook or the reason contains.
	Query  string `json:"q,omitempty"`
	Cursor string `json:"cursor,omitempty"`
	Limit  int    `json:"limit,omitempty"` // 1 to 200; 50 if 0
}

// DeliveriesResponse is one page. An empty NextCursor is the end. A page may hold fewer than the limit, or none, and
// have a cursor: one question reads a bounded part of the list.
type DeliveriesResponse struct {
	Deliveries []Delivery `json:"deliveries"`
	NextCursor string     `json:"next_cursor,omitempty"`
}

// DeliveryRequest asks for one delivery.
type DeliveryRequest struct {
	ID string `json:"id"`
}

// RedriveRequest dispatches a dead or discarded delivery again. Config is "original", the configuration that it was
// received with, or "current".
type RedriveRequest struct {
	ID     string `json:"id"`
	Config string `json:"config,omitempty"`
	Actor  string `json:"actor,omitempty"` // who asked, for the audit log
}

// DiscardRequest gives a dead or waiting delivery up.
type DiscardRequest struct {
	ID    string `json:"id"`
	Actor string `json:"actor,omitempty"`
}

// ListenerRequest pauses or resumes a listener.
type ListenerRequest struct {
	Listener string `json:"listener"`
	Actor    string `json:"actor,omitempty"`
}

// RedriveAllRequest redrives the dead deliveries of a listener that match a filter.
type RedriveAllRequest struct {
	Listener  string    `json:"listener"`
	Since     time.Time `json:"since,omitzero"`
	Query     string    `json:"q,omitempty"`
	Config    string    `json:"config,omitempty"`
	PerSecond float64   `json:"per_second,omitempty"` // 10 if 0
	Actor     string    `json:"actor,omitempty"`
}

// RedriveAllResponse says how many will be dispatched. They follow in the background, at the rate.
type RedriveAllResponse struct {
	Redriven int `json:"redriven"`
}

// TryRulesRequest runs a rule that is not live on deliveries that are stored; it dispatches nothing.
type TryRulesRequest struct {
	Listener string          `json:"listener"`
	Filter   string          `json:"filter,omitempty"` // CEL: true keeps the delivery
	Route    string          `json:"route,omitempty"`  // CEL: the playbook
	Allowed  []string        `json:"allowed,omitempty"`
	Schema   json.RawMessage `json:"schema,omitempty"`
	Limit    int             `json:"limit,omitempty"` // how many of the last deliveries, 1 to 100; 20 if 0
}

// TryRulesResponse has one row for each delivery that was looked at.
type TryRulesResponse struct {
	Results []TriedDelivery `json:"results"`
}

// TriedDelivery is what the rules would do.
type TriedDelivery struct {
	ID       string `json:"id"`
	Keep     bool   `json:"keep"`
	Playbook string `json:"playbook,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Listener is a listener as operators see it. It holds no secret.
type Listener struct {
	Name     string `json:"name"`
	Origin   string `json:"origin"` // noetl or file
	Source   string `json:"source"` // webhook or pubsub
	Verify   string `json:"verify"` // type or preset
	Playbook string `json:"playbook,omitempty"`
	Version  string `json:"version,omitempty"`
	Paused   bool   `json:"paused"`
	// Waiting and Dead count what is stored now; Dispatched, Rejected and Filtered what is kept of the past.
	Waiting              int64     `json:"waiting"`
	Dead                 int64     `json:"dead"`
	Dispatched           int64     `json:"dispatched"`
	Rejected             int64     `json:"rejected"`
	OldestWaitingSeconds float64   `json:"oldest_waiting_seconds,omitempty"`
	LastReceivedAt       time.Time `json:"last_received_at,omitzero"`
	// Health is ok, paused, failing (the last attempt failed), or invalid (its configuration).
	Health string `json:"health"`
	Detail string `json:"detail,omitempty"`
}

// ListenersResponse is every listener that has a configuration in a file, or had a delivery.
type ListenersResponse struct {
	Listeners []Listener `json:"listeners"`
}

// Empty is a request or an answer without content.
type Empty struct{}
