package wire

import (
	"maps"
	"strings"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// PythonPayload is an event as server 2.103 publishes it. The events of the playbook as a whole have other
// keys than those of a step, and a cancellation has the fewest.
func PythonPayload(e sandbox.Event) map[string]any {
	row := map[string]any{
		"catalog_id": number(e.CatalogID), "created_at": format(pythonEvent, e.At), "event_id": e.ID,
		"event_time": format(pythonEvent, e.At), "event_type": e.Type, "execution_id": number(e.ExecutionID),
		"ingest_time": format(pythonEvent, e.At), "meta": map[string]any{}, "node_id": e.Node, "node_name": e.Node,
		"status": e.Status,
	}
	switch {
	case e.Type == "execution.cancelled":
		row["meta"] = map[string]any{
			"actionable":       true,
			"cancelled_by":     "api",
			"cascade":          true,
			"parent_cancel_id": nil,
			"reason":           pythonReason(e),
		}
		row["result"] = map[string]any{"status": e.Status}
	case pythonWhole(e):
		maps.Copy(row, map[string]any{
			"context": pythonContext(e), "duration": 0, "error": text(e.Error), "parent_event_id": event(e.Parent),
			"parent_execution_id": number(e.ParentExecutionID), "result": pythonOutcome(e), "worker_id": nil,
		})
	default:
		maps.Copy(row, map[string]any{
			"command_id": event(e.Command), "frame_id": nil, "meta": pythonMeta(e), "parent_event_id": event(e.Parent),
			"parent_execution_id": number(e.ParentExecutionID), "result": pythonResult(e), "stage_id": nil,
		})
		if e.Error != "" {
			row["error"] = e.Error
		}
		if e.Type == sandbox.EventIssued {
			row["node_type"], row["context"] = "python", pythonCommand(e)
		}
	}
	return row
}

func pythonReason(e sandbox.Event) string {
	if e.Reason == "" {
		return "User requested cancellation"
	}
	return e.Reason
}

// pythonWhole reports whether an event is about the playbook as a whole.
func pythonWhole(e sandbox.Event) bool {
	return strings.HasPrefix(e.Type, "playbook.") || strings.HasPrefix(e.Type, "workflow.")
}

func pythonBegins(e sandbox.Event) bool { return e.Status == "initialized" }

func pythonContext(e sandbox.Event) any {
	c := map[string]any{
		"error": text(e.Error), "final_step": text(e.Final), "result": pythonOutcome(e), "status": e.Status,
	}
	if pythonBegins(e) {
		result := map[string]any{"playbook_path": e.Path, "workload": e.Workload}
		if e.Type == "workflow.initialized" {
			result["first_step"] = "start"
		}
		c["result"] = result
	}
	return c
}

// pythonOutcome is the result of the last step.
func pythonOutcome(e sandbox.Event) any {
	if pythonBegins(e) {
		return nil
	}
	return map[string]any{"context": e.Result, "status": strings.ToUpper(e.Status)}
}

func pythonCommand(e sandbox.Event) any {
	render := map[string]any{
		"catalog_id": e.CatalogID, "ctx": e.Workload, "execution_id": e.ExecutionID, "iter": map[string]any{},
		"job":      map[string]any{"execution_id": e.ExecutionID, "id": e.ExecutionID, "uuid": e.ExecutionID},
		"workload": e.Workload,
	}
	return map[string]any{
		"input": e.Workload, "render_context": render, "spec": map[string]any{"next_mode": "exclusive"},
		"tool_config": map[string]any{"code": "result = {}\n", "input": e.Workload, "output": nil, "spec": nil},
	}
}

func pythonMeta(e sandbox.Event) any {
	meta := map[string]any{"actionable": e.Type == sandbox.EventCallDone, "informative": true, "worker_id": worker}
	if e.Command != 0 {
		meta["command_id"] = e.Command
	}
	switch {
	case e.Type == sandbox.EventIssued:
		return map[string]any{
			"actionable":   true,
			"attempt":      1,
			"catalog_id":   e.CatalogID,
			"command_id":   e.Command,
			"execution_id": e.ExecutionID,
			"max_attempts": 3,
			"step":         e.Node,
			"tool_kind":    "python",
		}
	case e.Type == "command.claimed":
		meta["locality"] = map[string]any{"runtime": "cpu", "worker_pool": "sandbox"}
		meta["worker_locator"] = "noetl://tenant/default/org/default/worker/sandbox"
	case strings.HasPrefix(e.Type, "batch."):
		meta["batch_request_id"] = idText(e.ID)
	default:
		meta["persisted_event_id"] = idText(e.ID)
	}
	return meta
}

// object returns the members of a result that is an object, nil for another.
func object(result any) map[string]any {
	switch m := result.(type) {
	case map[string]any:
		return m
	case sandbox.Workload:
		return m
	}
	return nil
}

// pythonResult is the result of a step, whose members stand beside those of the worker.
func pythonResult(e sandbox.Event) any {
	within := map[string]any{}
	if m := object(e.Result); m != nil {
		maps.Copy(within, m)
	} else if e.Result != nil {
		within["value"] = e.Result
	}
	if e.Command != 0 {
		within["command_id"] = e.Command
	}
	switch e.Type {
	case sandbox.EventIssued:
		return map[string]any{"status": e.Status}
	case sandbox.EventStepEnter:
		within["status"] = "started"
	case "command.started", "command.completed":
		within["worker_id"] = worker
	}
	return map[string]any{"context": within, "status": e.Status}
}
