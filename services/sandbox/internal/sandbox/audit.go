package sandbox

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// AuditEvent is one event that was posted to /api/events, as it came.
type AuditEvent struct {
	EventType   string
	ExecutionID noetlwire.ID
	Body        json.RawMessage
}

// RecordedView is the answer to POST /api/events.
type RecordedView struct {
	Status  string       `json:"status"`
	EventID noetlwire.ID `json:"event_id"`
}

// Record keeps an audit event.
func (s *Service) Record(_ context.Context, body json.RawMessage) (RecordedView, error) {
	var head struct {
		EventType   string       `json:"event_type"`
		ExecutionID noetlwire.ID `json:"execution_id"`
	}
	if err := json.Unmarshal(body, &head); err != nil || !strings.HasPrefix(strings.TrimSpace(string(body)), "{") {
		return RecordedView{}, invalid("bad_event", "the body must be a JSON object with event_type as a string")
	}
	if head.EventType == "" {
		return RecordedView{}, invalid("event_type_missing", "event_type is required")
	}
	s.audit.add(AuditEvent{EventType: head.EventType, ExecutionID: head.ExecutionID, Body: body})
	return RecordedView{Status: "ok", EventID: s.ids.next()}, nil
}

// AuditRequest filters GET /api/events. Limit 0 is the default, 50.
type AuditRequest struct {
	EventType   string
	ExecutionID noetlwire.ID
	Limit       int
}

// AuditView is the answer, newest first.
type AuditView struct {
	Events []json.RawMessage `json:"events"`
	Count  int               `json:"count"`
}

// Audit lists the latest audit events.
func (s *Service) Audit(_ context.Context, in AuditRequest) (AuditView, error) {
	limit, err := listLimit(in.Limit)
	if err != nil {
		return AuditView{}, err
	}
	v := AuditView{Events: s.audit.latest(limit, in)}
	v.Count = len(v.Events)
	return v, nil
}

// audit keeps the latest events, bounded in number and bytes.
type audit struct {
	mu     sync.Mutex
	events []AuditEvent // oldest first
	bytes  int
}

func (a *audit) add(e AuditEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
	a.bytes += len(e.Body)
	for len(a.events) > 1 && (len(a.events) > maxAudit || a.bytes > maxAuditBytes) {
		a.bytes -= len(a.events[0].Body)
		a.events[0] = AuditEvent{} // the backing array must not keep it alive
		a.events = a.events[1:]
	}
}

func (a *audit) latest(n int, in AuditRequest) []json.RawMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := []json.RawMessage{}
	for i := len(a.events) - 1; i >= 0 && len(found) < n; i-- {
		e := a.events[i]
		if (in.EventType == "" || e.EventType == in.EventType) &&
			(in.ExecutionID == "" || e.ExecutionID == in.ExecutionID) {
			found = append(found, e.Body)
		}
	}
	return found
}
