package wire

import (
	"fmt"
	"strconv"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

func idText(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// Status is the answer to GET /api/executions/{id}/status. A Python server shortens large variables unless the whole of
// them is asked for.
func Status(g sandbox.Generation, v sandbox.View, whole bool) any {
	if g == sandbox.Python {
		return pythonStatusOf(v, whole)
	}
	return rustStatusOf(v)
}

// Detail is the answer to GET /api/executions/{id}.
func Detail(g sandbox.Generation, v sandbox.View, p Page) any {
	if g == sandbox.Python {
		return pythonDetailOf(v, p)
	}
	return rustDetailOf(v)
}

// Events is the answer to GET /api/executions/{id}/events, which only Python servers have.
func Events(v sandbox.View, p Page) any { return pythonEventsOf(v, p) }

// List is the answer to GET /api/executions.
func List(g sandbox.Generation, views []sandbox.View) any {
	if g == sandbox.Python {
		rows := make([]pythonSummary, len(views))
		for i, v := range views {
			rows[i] = pythonSummaryOf(v)
		}
		return rows
	}
	rows := make([]rustRow, len(views))
	for i, v := range views {
		rows[i] = rustRow{rustSummaryOf(v), len(v.Events)}
	}
	return rows
}

// Cancelled is the answer to POST /api/executions/{id}/cancel.
func Cancelled(g sandbox.Generation, v sandbox.CancelView) any {
	if g != sandbox.Python {
		return rustCancelled{number(v.ExecutionID), "Execution cancellation requested", "cancelled"}
	}
	out := pythonCancelled{
		Status: "cancelled", ExecutionID: v.ExecutionID, Cancelled: v.Cancelled,
		Message: fmt.Sprintf("Cancelled %d execution(s)", len(v.Cancelled)),
	}
	if len(v.Cancelled) == 0 {
		out.Status, out.Cancelled = "already_completed", []noetlwire.ID{}
		out.Message = "Execution " + string(v.ExecutionID) + " is already " + v.Before
	}
	return out
}

// CancellationCheck is the answer to GET /api/executions/{id}/cancellation-check.
func CancellationCheck(g sandbox.Generation, v sandbox.View) any {
	if g != sandbox.Python {
		return rustCheck{number(v.ExecutionID), v.Status == sandbox.StatusCancelled}
	}
	c := pythonCheck{
		ExecutionID: v.ExecutionID, Status: v.Status, Cancelled: v.Status == sandbox.StatusCancelled,
		Failed: v.Status == sandbox.StatusFailed,
	}
	if n := len(v.Events); n > 0 {
		c.EventType = v.Events[n-1].Type
	}
	return c
}

// Variables is the answer to GET /api/vars/{id}.
func Variables(g sandbox.Generation, v sandbox.View) any {
	if g == sandbox.Python {
		return variablesOf(v.ExecutionID, v)
	}
	return variablesOf(number(v.ExecutionID), v)
}

// Session is the answer to POST /api/auth/session/validate.
func Session(g sandbox.Generation, a sandbox.SyncValidateAnswer) any {
	if g == sandbox.Python {
		return pythonSession{Status: "ok", Valid: a.Valid, User: a.User, ExpiresAt: text(a.ExpiresAt)}
	}
	return rustSession{Status: "ok", Valid: a.Valid, User: a.User, ExpiresAt: a.ExpiresAt}
}

// entry is an entry of the catalog. Description and variables are the sandbox's own.
type entry struct {
	CatalogID   noetlwire.ID   `json:"catalog_id"`
	Path        string         `json:"path"`
	Kind        string         `json:"kind"`
	Version     int            `json:"version"`
	Content     string         `json:"content"`
	Layout      any            `json:"layout"`
	Payload     any            `json:"payload"`
	Meta        any            `json:"meta"`
	CreatedAt   string         `json:"created_at"`
	Description string         `json:"description"`
	Variables   map[string]any `json:"variables"`
}

// Entry is an entry of the catalog, the answer to POST /api/catalog/resource.
func Entry(g sandbox.Generation, e sandbox.Entry) any {
	out := entry{
		CatalogID:   e.CatalogID,
		Path:        e.Path,
		Kind:        e.Kind,
		Version:     e.Version,
		Content:     e.Content,
		CreatedAt:   format(rustStream, e.Created),
		Description: e.Description,
		Variables:   e.Variables,
		Payload:     e.Variables,
		Meta:        map[string]any{"registered_at": format(microsPlus, e.Created)},
	}
	if g == sandbox.Python {
		out.Payload = map[string]any{
			"apiVersion": "noetl.io/v2",
			"kind":       "Playbook",
			"metadata":   map[string]any{"path": e.Path},
			"workload":   e.Variables,
		}
	}
	return out
}

// Catalog is the answer to POST /api/catalog/list.
func Catalog(g sandbox.Generation, entries []sandbox.Entry) any {
	rows := make([]any, len(entries))
	for i, e := range entries {
		rows[i] = Entry(g, e)
	}
	return map[string]any{"entries": rows}
}

// Registered is the answer to POST /api/catalog/register, and to its kin with another word.
func Registered(e sandbox.Entry, word string) any {
	return map[string]any{
		"status": "success", "message": fmt.Sprintf("Resource '%s' version '%d' %s.", e.Path, e.Version, word),
		"path": e.Path, "version": e.Version, "catalog_id": e.CatalogID, "kind": e.Kind,
	}
}
