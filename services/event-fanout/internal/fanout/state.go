package fanout

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
)

// Lifecycle events that have a meaning of their own.
const (
	EventCompleted = "playbook.completed"
	EventFailed    = "playbook.failed"
)

// State is a lifecycle event as clients see it (wire contract, section 7).
type State struct {
	ExecutionID string
	EventType   string
	StepName    string // "" is null in the frame
	Status      string
	At          string // "" for unknown
}

// Params returns the params of the playbook/state frame.
func (s State) Params() frame.StateParams {
	p := frame.StateParams{ExecutionID: s.ExecutionID, EventType: s.EventType, Status: s.Status, At: s.At}
	if s.StepName != "" {
		p.StepName = &s.StepName
	}
	return p
}

var errNoEventType = errors.New("the event has no type")

// ParseState reads an event of NoETL in any of its spellings. fallbackID is the execution id
// in the subject, for payloads that have none. Ids that are JSON numbers keep all 64 bits.
func ParseState(payload []byte, fallbackID string) (State, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return State{}, err
	}
	s := State{
		EventType:   first(m, "event_type", "type", "name"),
		ExecutionID: first(m, "execution_id", "executionId", "id"),
		StepName:    first(m, "step_name", "stepName", "node_name", "nodeName", "step"),
		Status:      first(m, "status"),
		At:          moment(m, "at", "timestamp", "created_at", "createdAt"),
	}
	if s.EventType == "" {
		return State{}, errNoEventType
	}
	if s.ExecutionID == "" {
		s.ExecutionID = fallbackID
	}
	if s.Status == "" {
		switch {
		case strings.HasSuffix(s.EventType, "failed"):
			s.Status = "failed"
		case strings.HasSuffix(s.EventType, "completed"):
			s.Status = "completed"
		default:
			s.Status = "running"
		}
	}
	return s, nil
}

// moment returns the first member that is a time: a text as it is, a Unix time as RFC 3339,
// which is all that clients read. Its size tells seconds from the smaller units.
func moment(m map[string]any, names ...string) string {
	for _, n := range names {
		switch v := m[n].(type) {
		case string:
			if v != "" {
				return v
			}
		case json.Number:
			f, err := v.Float64()
			if err != nil || f <= 0 || f > 1e19 {
				continue
			}
			for f > 1e11 {
				f /= 1000
			}
			return frame.Time(time.UnixMicro(int64(f * 1e6)))
		}
	}
	return ""
}

// first returns the first member that is a non-empty string or a number.
func first(m map[string]any, names ...string) string {
	for _, n := range names {
		switch v := m[n].(type) {
		case string:
			if v != "" {
				return v
			}
		case json.Number:
			return v.String()
		}
	}
	return ""
}
