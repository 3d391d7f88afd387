package fanout

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
)

// Spellings returns the other names under which servers send an event type (wire contract, section 7).
func Spellings(eventType string) []string {
	switch eventType {
	case frame.EventCompleted:
		return []string{"playbook_completed"}
	case frame.EventFailed:
		return []string{"playbook_failed"}
	case frame.EventCancelled:
		return []string{"playbook_cancelled", "execution.cancelled"}
	default:
		return nil
	}
}

// canonical returns the name that clients know for a type.
func canonical(eventType string) string {
	for _, known := range []string{frame.EventCompleted, frame.EventFailed, frame.EventCancelled} {
		if slices.Contains(Spellings(known), eventType) {
			return known
		}
	}
	return eventType
}

// State is a lifecycle event as clients see it (wire contract, section 7).
type State struct {
	ExecutionID string
	EventType   string
	StepName    string // "" is null in the frame
	Status      string
	At          string // RFC 3339 with a zone, "" for unknown
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

// ParseState reads an event of NoETL in any of its spellings, and its own id, "" if it has none.
// fallbackID is the execution id that its address has, for payloads without one. Ids that are JSON
// numbers keep all 64 bits.
func ParseState(payload []byte, fallbackID string) (state State, eventID string, err error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return State{}, "", err
	}
	s := State{
		EventType:   canonical(first(m, "event_type", "type", "name")),
		ExecutionID: first(m, "execution_id", "executionId", "id"),
		StepName:    first(m, "step_name", "stepName", "node_name", "nodeName", "step"),
		Status:      first(m, "status"),
		At:          moment(m, "at", "timestamp", "created_at", "createdAt"),
	}
	if s.EventType == "" {
		return State{}, "", errNoEventType
	}
	if s.ExecutionID == "" {
		s.ExecutionID = fallbackID
	}
	if s.Status == "" {
		s.Status = statusOf(s.EventType)
	}
	return s, first(m, "event_id", "eventId"), nil
}

func statusOf(eventType string) string {
	for _, end := range []string{"failed", "completed", "cancelled"} {
		if strings.HasSuffix(eventType, end) {
			return end
		}
	}
	return "running"
}

// layouts are the forms of a time in a text: RFC 3339, what Python's isoformat and Postgres write,
// and both without a zone, which is UTC. Fractions of a second are read in any of them.
func layouts() []string {
	return []string{
		time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05",
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05",
	}
}

// moment returns the first member that is a time, as RFC 3339 in UTC, which is all that clients
// read. The size of a Unix time tells seconds from the smaller units.
func moment(m map[string]any, names ...string) string {
	for _, n := range names {
		switch v := m[n].(type) {
		case string:
			for _, layout := range layouts() {
				if t, err := time.Parse(layout, strings.TrimSpace(v)); err == nil {
					return frame.Time(t)
				}
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
