package wire

import "github.com/noetl/gateway/services/sandbox/internal/sandbox"

type rustStatus struct {
	ExecutionID any          `json:"execution_id"`
	Status      string       `json:"status"`
	CurrentStep any          `json:"current_step"`
	Progress    rustProgress `json:"progress"`
	IsCancelled bool         `json:"is_cancelled"`
}

type rustProgress struct {
	Total     int `json:"total_steps"`
	Completed int `json:"completed_steps"`
	Running   int `json:"running_steps"`
	Failed    int `json:"failed_steps"`
}

func rustStatusOf(v sandbox.View) rustStatus {
	running := 0
	if v.Status == sandbox.StatusRunning && v.CurrentStep != "" {
		running = 1
	}
	return rustStatus{
		ExecutionID: number(v.ExecutionID), Status: v.Status, CurrentStep: text(v.CurrentStep),
		IsCancelled: v.Status == sandbox.StatusCancelled,
		Progress:    rustProgress{Total: v.Steps, Completed: len(v.Done), Running: running, Failed: v.BrokenSteps},
	}
}

type rustSummary struct {
	ExecutionID any    `json:"execution_id"`
	CatalogID   any    `json:"catalog_id"`
	Path        string `json:"path"`
	Status      string `json:"status"`
	StartedAt   string `json:"started_at"`
	CompletedAt any    `json:"completed_at"`
}

func rustSummaryOf(v sandbox.View) rustSummary {
	return rustSummary{
		ExecutionID: number(v.ExecutionID), CatalogID: number(v.CatalogID), Path: v.Path, Status: v.Status,
		StartedAt: format(micros, v.Started), CompletedAt: orNull(micros, v.Ended),
	}
}

type rustRow struct {
	rustSummary
	EventCount int `json:"event_count"`
}

type rustDetail struct {
	rustSummary
	ParentExecutionID any          `json:"parent_execution_id"`
	Workload          any          `json:"workload"`
	Events            []rustRecord `json:"events"`
}

type rustRecord struct {
	EventID   int64  `json:"event_id"`
	EventType string `json:"event_type"`
	NodeName  string `json:"node_name"`
	Status    string `json:"status"`
	CreatedAt string `json:"created_at"`
	Result    any    `json:"result"`
	Error     any    `json:"error"`
}

func rustDetailOf(v sandbox.View) rustDetail {
	d := rustDetail{
		rustSummary: rustSummaryOf(v), ParentExecutionID: number(v.ParentExecutionID), Workload: v.Workload,
		Events: []rustRecord{},
	}
	for _, e := range v.Events {
		d.Events = append(
			d.Events,
			rustRecord{e.ID, e.Type, e.Node, e.Status, format(micros, e.At), rustResult(e), nil},
		)
	}
	return d
}

type rustCancelled struct {
	ExecutionID any    `json:"execution_id"`
	Message     string `json:"message"`
	Status      string `json:"status"`
}

type rustCheck struct {
	ExecutionID any  `json:"execution_id"`
	IsCancelled bool `json:"is_cancelled"`
}

type rustVariables struct {
	ExecutionID any            `json:"execution_id"`
	Variables   map[string]any `json:"variables"`
	Count       int            `json:"count"`
}

func variablesOf(id any, v sandbox.View) rustVariables {
	all := variables(v)
	return rustVariables{id, all, len(all)}
}

// rustSession is the answer about a session; an invalid token has no members.
type rustSession struct {
	Status    string            `json:"status"`
	Valid     bool              `json:"valid"`
	User      *sandbox.SyncUser `json:"user,omitempty"`
	ExpiresAt string            `json:"expires_at,omitempty"`
}
