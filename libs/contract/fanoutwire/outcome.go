package fanoutwire

import (
	"encoding/json"
	"time"
)

const (
	// SubjectOutcome tells what became of a request.
	SubjectOutcome = "gateway.fanout.v1.outcome"
	// SubjectRequestsOf lists the listed requests of a user.
	SubjectRequestsOf = "gateway.fanout.v1.requests-of"
	// SubjectTasksOfSession lists the unfinished tasks of a session, for whoever ends it.
	SubjectTasksOfSession = "gateway.fanout.v1.tasks-of-session"
)

// OutcomeRequest asks about one request. To anybody but its owner it is the fault NotFound.
type OutcomeRequest struct {
	RequestID string `json:"request_id"`
	Owner     string `json:"owner"`
}

// Outcome is what became of a request.
type Outcome struct {
	OwnRequest

	// Progress is the latest report of a worker, nil for none.
	Progress *Progress `json:"progress,omitempty"`
	// Result holds the params of the frame playbook/result, nil as long as there is none. A result that no frame
	// can hold is an error there, whose data names where it is kept.
	Result    json.RawMessage `json:"result,omitempty"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// Progress is a worker's report; Progress is 0 to 1.
type Progress struct {
	Step     string  `json:"step,omitempty"`
	Message  string  `json:"message,omitempty"`
	Progress float64 `json:"progress"`
}

// OwnRequest is a request as its owner sees it.
type OwnRequest struct {
	RequestID    string    `json:"request_id"`
	ExecutionID  string    `json:"execution_id,omitempty"` // "" until NoETL has started it
	PlaybookPath string    `json:"playbook_path"`
	CreatedAt    time.Time `json:"created_at"`
	ExpiresAt    time.Time `json:"expires_at"` // when it is forgotten
	// Ended is the type of the lifecycle event that ended the execution, "" if none has.
	Ended string `json:"ended,omitempty"`
	// Done is set when the result was stored.
	Done bool `json:"done,omitempty"`
	// Task is set for a request that was registered as Kept.
	Task bool `json:"task,omitempty"`
}

// RequestsOfRequest asks for a page of the requests of a user that were registered as Kept or Listed, newest first.
// Limit 0 is 50, and more than 100 is 100. A page may hold fewer, and none, and not be the last.
type RequestsOfRequest struct {
	Owner  string `json:"owner"`
	Tasks  bool   `json:"tasks,omitempty"` // only those
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// RequestsOfResponse is a page; Next is "" on the last one.
type RequestsOfResponse struct {
	Requests []OwnRequest `json:"requests"`
	Next     string       `json:"next,omitempty"`
}

// TasksOfSessionRequest asks for a page of the requests that were registered as Kept under a session and have not
// ended. The response is a [RequestsOfResponse], newest first.
type TasksOfSessionRequest struct {
	// SessionKey is the hash of the session token, as in [ExpectRequest].
	SessionKey string `json:"session_key"`
	Cursor     string `json:"cursor,omitempty"`
}
