package wire

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// pythonStatus has no word for how an execution is doing.
type pythonStatus struct {
	ExecutionID    noetlwire.ID   `json:"execution_id"`
	CurrentStep    any            `json:"current_step"`
	CompletedSteps []string       `json:"completed_steps"`
	Failed         bool           `json:"failed"`
	Completed      bool           `json:"completed"`
	Inferred       bool           `json:"completion_inferred"`
	Variables      map[string]any `json:"variables"`
	StartTime      string         `json:"start_time"`
	EndTime        any            `json:"end_time"`
	Seconds        float64        `json:"duration_seconds"`
	Human          string         `json:"duration_human"`
}

func pythonStatusOf(v sandbox.View, whole bool) pythonStatus {
	s := pythonStatus{
		ExecutionID: v.ExecutionID, CurrentStep: text(v.CurrentStep), CompletedSteps: []string{},
		Failed:    v.Status == sandbox.StatusFailed,
		Completed: v.Status == sandbox.StatusCompleted || v.Status == sandbox.StatusCancelled, Inferred: v.Inferred,
		Variables: pythonVariables(v), StartTime: format(microsPlus, v.Started), EndTime: orNull(microsPlus, v.Ended),
	}
	for _, d := range v.Done {
		s.CompletedSteps = append(s.CompletedSteps, d.Step)
	}
	if !whole {
		for name, value := range s.Variables {
			s.Variables[name] = shortened(value)
		}
	}
	s.Seconds, s.Human = duration(v)
	return s
}

// longestVariable is how much JSON a variable of a status may be, in bytes.
const longestVariable = 4096

// shortened is a variable with its beginning in the place of a value that is too long.
func shortened(value any) any {
	text := encode(value)
	if len(text) <= longestVariable {
		return value
	}
	return map[string]any{
		"_truncated": true, "_original_size_bytes": len(text), "_preview": strings.ToValidUTF8(string(text[:1024]), ""),
	}
}

// pythonVariables are the variables of a status, where the result of a step that is an object has a copy of itself.
func pythonVariables(v sandbox.View) map[string]any {
	all := variables(v)
	for _, done := range v.Done {
		own := object(done.Result)
		if _, taken := own["context"]; own == nil || taken {
			continue
		}
		kept := maps.Clone(own)
		kept["context"] = own
		all[done.Step] = kept
	}
	return all
}

// duration is how long an execution has taken so far.
func duration(v sandbox.View) (seconds float64, words string) {
	end := v.Ended
	if end.IsZero() {
		end = time.Now()
	}
	d := end.Sub(v.Started)
	return d.Round(time.Millisecond).Seconds(), human(d)
}

type pythonSummary struct {
	ExecutionID       noetlwire.ID `json:"execution_id"`
	CatalogID         noetlwire.ID `json:"catalog_id"`
	Path              string       `json:"path"`
	Version           int          `json:"version"`
	Status            string       `json:"status"`
	StartTime         string       `json:"start_time"`
	EndTime           any          `json:"end_time"`
	Seconds           float64      `json:"duration_seconds"`
	Human             string       `json:"duration_human"`
	Progress          int          `json:"progress"`
	Result            any          `json:"result"` // nothing is ever told here
	Error             any          `json:"error"`
	ParentExecutionID any          `json:"parent_execution_id"`
}

func pythonSummaryOf(v sandbox.View) pythonSummary {
	s := pythonSummary{
		ExecutionID:       v.ExecutionID,
		CatalogID:         v.CatalogID,
		Path:              v.Path,
		Version:           v.Version,
		Status:            v.Status,
		StartTime:         format(micros, v.Started),
		EndTime:           orNull(micros, v.Ended),
		ParentExecutionID: text(v.ParentExecutionID),
	}
	s.Seconds, s.Human = duration(v)
	if v.Status != sandbox.StatusRunning {
		s.Progress = 100
	}
	if v.Failure != nil {
		s.Error = v.Failure.Message
	}
	return s
}

// Page is what of an execution is asked for, and which of its events. The zero value is the first page of 100.
type Page struct {
	Number, Size int
	Since        int64  // events after this one
	Type         string // events of this type
	Without      bool   // no events at all
	Whole        bool   // the whole of large variables
}

type pythonDetail struct {
	pythonSummary
	Events         []map[string]any `json:"events"`
	EventsIncluded bool             `json:"events_included"`
	EventsEndpoint string           `json:"events_endpoint"`
	Pagination     *pagination      `json:"pagination"`
}

type pagination struct {
	Page       int  `json:"page"`
	PageSize   int  `json:"page_size"`
	Total      int  `json:"total_events"`
	TotalPages int  `json:"total_pages"`
	HasNext    bool `json:"has_next"`
	HasPrev    bool `json:"has_prev"`
}

// page returns the events of a page, newest first.
func page(v sandbox.View, p Page) ([]sandbox.Event, *pagination) {
	p.Number, p.Size = max(p.Number, 1), min(p.Size, 500)
	if p.Size <= 0 {
		p.Size = 100
	}
	var found []sandbox.Event
	for _, e := range slices.Backward(v.Events) {
		if e.ID > p.Since && (p.Type == "" || e.Type == p.Type) {
			found = append(found, e)
		}
	}
	pages := max(1, (len(found)+p.Size-1)/p.Size)
	at := pagination{
		Page: p.Number, PageSize: p.Size, Total: len(found), TotalPages: pages, HasNext: p.Number < pages,
		HasPrev: p.Number > 1,
	}
	from := min((p.Number-1)*p.Size, len(found))
	return found[from:min(from+p.Size, len(found))], &at
}

func pythonDetailOf(v sandbox.View, p Page) pythonDetail {
	d := pythonDetail{
		pythonSummary: pythonSummaryOf(v), Events: []map[string]any{}, EventsIncluded: !p.Without,
		EventsEndpoint: "/api/executions/" + string(v.ExecutionID) + "/events",
	}
	if p.Without {
		return d
	}
	events, at := page(v, p)
	d.Pagination = at
	for _, e := range events {
		row := pythonRecord(e, micros)
		row["catalog_id"], row["parent_event_id"] = v.CatalogID, text(idText(e.Parent))
		d.Events = append(d.Events, row)
	}
	return d
}

type pythonEvents struct {
	ExecutionID noetlwire.ID     `json:"execution_id"`
	Path        string           `json:"path"`
	Status      string           `json:"status"`
	Events      []map[string]any `json:"events"`
	Pagination  *pagination      `json:"pagination"`
}

func pythonEventsOf(v sandbox.View, p Page) pythonEvents {
	events, at := page(v, p)
	out := pythonEvents{v.ExecutionID, v.Path, v.Status, []map[string]any{}, at}
	for _, e := range events {
		row := pythonRecord(e, microsPlus)
		row["catalog_id"], row["parent_event_id"] = number(v.CatalogID), event(e.Parent)
		out.Events = append(out.Events, row)
	}
	return out
}

// pythonRecord is an event in an answer of the API.
func pythonRecord(e sandbox.Event, layout string) map[string]any {
	payload := PythonPayload(e)
	row := map[string]any{
		"execution_id": e.ExecutionID, "event_id": e.ID, "event_type": e.Type, "node_id": e.Node, "node_name": e.Node,
		"status": e.Status, "created_at": format(layout, e.At), "timestamp": format(layout, e.At),
		"context": payload["context"], "result": payload["result"], "error": text(e.Error),
		"parent_execution_id": text(e.ParentExecutionID), "duration": nil,
	}
	if _, timed := payload["duration"]; timed {
		row["duration"] = 0.0
	}
	return row
}

type pythonCancelled struct {
	Status      string         `json:"status"` // cancelled or already_completed
	ExecutionID noetlwire.ID   `json:"execution_id"`
	Cancelled   []noetlwire.ID `json:"cancelled_executions"`
	Message     string         `json:"message"`
}

type pythonCheck struct {
	ExecutionID noetlwire.ID `json:"execution_id"`
	Status      string       `json:"status"`
	EventType   string       `json:"event_type"`
	Cancelled   bool         `json:"cancelled"`
	Completed   bool         `json:"completed"`
	Failed      bool         `json:"failed"`
}

type pythonSession struct {
	Status    string            `json:"status"`
	Valid     bool              `json:"valid"`
	User      *sandbox.SyncUser `json:"user"`
	ExpiresAt any               `json:"expires_at"`
	Error     any               `json:"error"`
}
