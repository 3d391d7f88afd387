// Package operatorwire is what operators see of a running gateway, over NATS and under /api/operator/: its replicas,
// who is connected, sessions, pending requests and subscriptions. Each service answers for what it owns. edge-proxy
// asks in the name of a session that has an operator's role; the others do not look at sessions.
package operatorwire

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// The operations that every replica of every service answers for itself, see [Subject].
const (
	Status   = "status"
	LogLevel = "log-level"
)

// Subject is where all replicas of a service hear an operation of this package. It is no queue group: each answers.
func Subject(service, operation string) string { return "gateway." + service + ".v1." + operation }

// Services returns the services in the names that [Subject] takes, in the order in which people read them.
func Services() []string { return []string{"edge", "auth", "fanout", "ingress"} }

// ServiceOf returns the name in [Services] of a service that people call as its program and its log lines do; any other
// name stays as it is.
func ServiceOf(name string) string {
	switch name {
	case "edge-proxy":
		return "edge"
	case "event-fanout":
		return "fanout"
	default:
		return name
	}
}

// Subjects of the operations that one service answers. Any replica answers but for streams, which each replica has of
// its own, as it has calls of tools ([SubjectCalls]).
const (
	SubjectSessions      = "gateway.auth.v1.sessions"
	SubjectSession       = "gateway.auth.v1.session"
	SubjectEndSession    = "gateway.auth.v1.end-session" // takes a [SessionRequest] with its owner
	SubjectStreams       = "gateway.fanout.v1.streams"
	SubjectCloseStream   = "gateway.fanout.v1.close-stream"
	SubjectRequests      = "gateway.fanout.v1.requests"
	SubjectRequest       = "gateway.fanout.v1.request"
	SubjectSubscriptions = "gateway.fanout.v1.subscriptions"
	SubjectCloseSubscr   = "gateway.fanout.v1.close-subscription"
)

// Empty is a request or an answer that says nothing.
type Empty struct{}

// Page asks for a part of a list. Cursor is the Next of the page before, "" for the first. Limit is the most entries,
// 1 to [MaxPage]; 0 is [DefaultPage].
type Page struct {
	Cursor string `json:"cursor,omitempty"`
	Limit  int    `json:"limit,omitempty"`
	// User keeps only what belongs to a user: id:7 or email:ada@example.com, as [authwire.User].Owner says.
	User string `json:"user,omitempty"`
}

// Bounds of a page.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// Check is one dependency or part of a replica.
type Check struct {
	Name     string `json:"name"`
	Critical bool   `json:"critical"` // without it the replica is not ready
	OK       bool   `json:"ok"`
	Reason   string `json:"reason,omitempty"` // why it is not
}

// Replica is one process, or one service in a process that runs several.
type Replica struct {
	Service       string    `json:"service"`
	Replica       string    `json:"replica"` // unique among those of the service
	Version       string    `json:"version"`
	StartedAt     time.Time `json:"started_at"`
	Ready         bool      `json:"ready"`
	Checks        []Check   `json:"checks"`
	LogLevel      string    `json:"log_level"`
	LogLevelUntil time.Time `json:"log_level_until,omitzero"` // when the level of the settings is in force again
	// Counters are what the console plots, since the start: logins, calls, frames, errors; and streams, which is how
	// many there are.
	Counters map[string]float64 `json:"counters"`
}

// StatusResponse is all replicas that answered, by service and replica. Silent are the services of which none did.
type StatusResponse struct {
	Replicas []Replica `json:"replicas"`
	Silent   []string  `json:"silent"`
}

// LogLevelRequest sets the level of all replicas of a service, "" for all services. ForSeconds is how long, 1 s to
// 24 h.
type LogLevelRequest struct {
	Service    string `json:"service"`
	Level      string `json:"level"` // one of [Levels]
	ForSeconds int    `json:"for_seconds"`
}

// Levels returns the log levels that can be set, those that log most first.
func Levels() []string { return []string{"debug", "info", "warn", "error"} }

// MaxLevelSeconds bounds how long a level is set: nobody remembers it for longer than a day.
const MaxLevelSeconds = 24 * 60 * 60

// Problem says what is wrong with the level or the time, with a code for it; both are "" if they can be set.
func (r LogLevelRequest) Problem() (code, message string) {
	switch {
	case !slices.Contains(Levels(), r.Level):
		return "bad_level", "level must be " + strings.Join(Levels(), ", ")
	case r.ForSeconds < 1 || r.ForSeconds > MaxLevelSeconds:
		return "bad_duration", "for_seconds must be 1 to " + strconv.Itoa(MaxLevelSeconds)
	}
	return "", ""
}

// LogLevelResponse names the replicas that log at that level now, as service/replica. Silent are those that did not
// say so, and the services of which nobody answered.
type LogLevelResponse struct {
	Replicas []string `json:"replicas"`
	Silent   []string `json:"silent,omitempty"`
}

// Session is a session without its token: ID stands for it and opens nothing.
type Session struct {
	ID        string        `json:"id"`
	User      authwire.User `json:"user"`
	Issuer    string        `json:"issuer,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
	ExpiresAt time.Time     `json:"expires_at"`
	Current   bool          `json:"current,omitempty"` // it is the session that asks; only in a person's own list
}

// SessionsResponse is a page of sessions.
type SessionsResponse struct {
	Sessions []Session `json:"sessions"`
	Next     string    `json:"next,omitempty"`
}

// SessionRequest names a session. Owner, if not empty, is whose it must be: another's is not found.
type SessionRequest struct {
	ID    string `json:"id"`
	Owner string `json:"owner,omitempty"`
}

// RevokeUserRequest ends all sessions of a user.
type RevokeUserRequest struct {
	User string `json:"user"`
}

// RevokeResponse says how many sessions ended that the gateway knew of; a user's others end too.
type RevokeResponse struct {
	Revoked int `json:"revoked"`
}

// Stream is one open connection of a client.
type Stream struct {
	ClientID  string    `json:"client_id"`
	User      string    `json:"user"` // id:7 or email:…
	Email     string    `json:"email,omitempty"`
	SessionID string    `json:"session_id"`
	Transport string    `json:"transport"` // sse or websocket
	Replica   string    `json:"replica"`
	Since     time.Time `json:"since"`
	Frames    int       `json:"queued_frames"` // stored and not written yet: how far the client lags
	Bytes     int       `json:"queued_bytes"`
}

// StreamsRequest asks for streams; Replica, if not empty, for those of one.
type StreamsRequest struct {
	Page
	Replica string `json:"replica,omitempty"`
}

// StreamsResponse is a page of streams. Total is how many there are in all replicas that answered.
type StreamsResponse struct {
	Streams []Stream `json:"streams"`
	Next    string   `json:"next,omitempty"`
	Total   int      `json:"total"`
}

// CloseStreamRequest ends the streams of a client; it may reconnect as long as its session lives.
type CloseStreamRequest struct {
	ClientID string `json:"client_id"`
}

// CloseStreamResponse says how many there were.
type CloseStreamResponse struct {
	Closed int `json:"closed"`
}

// Request is a pending request, or one that ended a while ago.
type Request struct {
	ID          string    `json:"id"`
	ClientID    string    `json:"client_id"`
	User        string    `json:"user,omitempty"`
	SessionID   string    `json:"session_id"`
	ExecutionID string    `json:"execution_id,omitempty"`
	Playbook    string    `json:"playbook"`
	CreatedAt   time.Time `json:"created_at"`
	State       string    `json:"state"` // pending, done or ended
	Ended       string    `json:"ended,omitempty"`
}

// RequestsRequest asks for requests; All includes those that ended.
type RequestsRequest struct {
	Page
	All bool `json:"all,omitempty"`
}

// RequestsResponse is a page of requests.
type RequestsResponse struct {
	Requests []Request `json:"requests"`
	Next     string    `json:"next,omitempty"`
}

// RequestRequest names a request by its id, its execution's or its client's; of several the newest counts.
type RequestRequest struct {
	ID string `json:"id"`
}

// Frame is a stored frame of a request's client, without its content.
type Frame struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	Bytes int    `json:"bytes"`
}

// RequestDetail is a request with what its client was sent.
type RequestDetail struct {
	Request
	Connected bool    `json:"connected"` // its client has a stream
	Frames    []Frame `json:"frames"`    // those that name the request, oldest first
	TraceID   string  `json:"trace_id,omitempty"`
}

// Subscription is an open subscription.
type Subscription struct {
	ID        string    `json:"id"`
	ClientID  string    `json:"client_id"`
	User      string    `json:"user"`
	Source    string    `json:"source"` // firestore, kv or execution
	Path      string    `json:"path"`
	CreatedAt time.Time `json:"created_at"`
	Replica   string    `json:"replica,omitempty"` // which owns its watch
}

// SubscriptionsResponse is a page of subscriptions.
type SubscriptionsResponse struct {
	Subscriptions []Subscription `json:"subscriptions"`
	Next          string         `json:"next,omitempty"`
}

// CloseSubscriptionRequest ends a subscription; its client is told.
type CloseSubscriptionRequest struct {
	ID string `json:"id"`
}
