package wire

import (
	"fmt"
	"maps"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// RustPayload is an event as server 3.54 publishes it: the whole row of its table, keys in order.
func RustPayload(e sandbox.Event) map[string]any {
	row := map[string]any{
		"catalog_id":          number(e.CatalogID),
		"context":             rustContext(e),
		"created_at":          format(rustStream, e.At),
		"error":               nil,
		"event_id":            e.ID,
		"event_time":          format(rustMoment, e.At),
		"event_type":          e.Type,
		"execution_id":        number(e.ExecutionID),
		"ingest_time":         format(rustMoment, e.At),
		"meta":                rustMeta(e),
		"node_id":             rustNode(e),
		"node_name":           e.Node,
		"node_type":           rustNodeType(e),
		"organization_id":     "default",
		"parent_event_id":     event(e.Parent),
		"parent_execution_id": number(e.ParentExecutionID),
		"prev_event_id":       event(e.Previous),
		"result":              rustResult(e),
		"schema_version":      1,
		"status":              e.Status,
		"tenant_id":           "default",
		"worker_id":           rustWorker(e),
	}
	for _, empty := range []string{
		"aggregate_id", "aggregate_type", "causation_id", "command_id", "context_key", "context_value",
		"correlation_id",
		"current_index", "current_item", "distributed_state", "duration", "envelope_checksum", "frame_id",
		"idempotency_key",
		"payload_ref", "producer", "schema_name", "stack_trace", "stage_id", "stream_id", "stream_version",
		"trace_component",
	} {
		row[empty] = nil
	}
	return row
}

// feedPayload is an event as newer servers write it to their event store.
type feedPayload struct {
	EventID           int64  `json:"event_id"`
	ExecutionID       any    `json:"execution_id"`
	CatalogID         any    `json:"catalog_id"`
	EventType         string `json:"event_type"`
	Status            string `json:"status"`
	CreatedAt         string `json:"created_at"`
	NodeID            string `json:"node_id"`
	NodeName          string `json:"node_name"`
	NodeType          any    `json:"node_type"`
	ParentEventID     any    `json:"parent_event_id"`
	PrevEventID       any    `json:"prev_event_id"`
	ParentExecutionID any    `json:"parent_execution_id"`
	Context           any    `json:"context"`
	Result            any    `json:"result"`
	Meta              any    `json:"meta"`
	Error             any    `json:"error"`
	WorkerID          any    `json:"worker_id"`
}

// feedRecord is what a feed has of an event: the payload is JSON in a string.
type feedRecord struct {
	GlobalSequence uint64 `json:"global_sequence"`
	ExecutionID    string `json:"execution_id"`
	TransactionID  string `json:"transaction_id"`
	Payload        string `json:"payload"`
}

// FeedRecord is a record of the event store, on one line.
func FeedRecord(sequence uint64, e sandbox.Event) []byte {
	payload := encode(feedPayload{
		EventID:           e.ID,
		ExecutionID:       number(e.ExecutionID),
		CatalogID:         number(e.CatalogID),
		EventType:         e.Type,
		Status:            e.Status,
		CreatedAt:         format(micros, e.At),
		NodeID:            rustNode(e),
		NodeName:          e.Node,
		NodeType:          rustNodeType(e),
		ParentEventID:     event(e.Parent),
		PrevEventID:       event(e.Previous),
		ParentExecutionID: number(e.ParentExecutionID),
		Context:           rustContext(e),
		Result:            rustResult(e),
		Meta:              rustMeta(e),
		WorkerID:          rustWorker(e),
	})
	return encode(feedRecord{sequence, string(e.ExecutionID), "", string(payload)})
}

func rustNode(e sandbox.Event) string {
	if e.Type == "playbook_started" {
		return "playbook"
	}
	return e.Node
}

func rustNodeType(e sandbox.Event) any {
	switch e.Type {
	case "playbook_started":
		return "execution"
	case sandbox.EventIssued:
		return "python"
	}
	return nil
}

// fromWorker reports whether a worker sent the event.
func fromWorker(e sandbox.Event) bool {
	switch e.Type {
	case "command.claimed", "command.started", "call.done", "call.error", "command.completed", "command.failed":
		return true
	}
	return false
}

func rustWorker(e sandbox.Event) any {
	if fromWorker(e) {
		return worker
	}
	return nil
}

// rustCommand is the id of a command.
func rustCommand(e sandbox.Event) string {
	return fmt.Sprintf("%s:%s:%d", e.ExecutionID, e.Node, e.Command)
}

func rustContext(e sandbox.Event) any {
	switch e.Type {
	case "playbook_started":
		return map[string]any{
			"catalog_id": e.CatalogID, "execution_id": e.ExecutionID, "path": e.Path, "workload": e.Workload,
		}
	case sandbox.EventIssued:
		render := maps.Clone(map[string]any(e.Workload))
		if render == nil {
			render = map[string]any{}
		}
		render["workload"] = e.Workload
		return map[string]any{
			"args": map[string]any{}, "render_context": render,
			"tool_config": map[string]any{"args": map[string]any{}, "code": "result = {}\n"},
		}
	}
	return nil
}

func rustMeta(e sandbox.Event) any {
	switch {
	case e.Type == "playbook_started":
		return map[string]any{
			"emitted_at": format("2006-01-02T15:04:05.000000000-07:00", e.At),
			"emitter":    "control_plane",
		}
	case e.Type == sandbox.EventIssued:
		return map[string]any{
			"actionable": true, "attempt": 1, "catalog_id": e.CatalogID, "command_id": rustCommand(e),
			"execution_id": e.ExecutionID, "max_attempts": 3, "step": e.Node, "tool_kind": "python",
		}
	case e.Type == "command.claimed":
		return map[string]any{
			"actionable":  false,
			"command_id":  rustCommand(e),
			"informative": true,
			"worker_id":   worker,
		}
	case fromWorker(e):
		return map[string]any{"actionable": true, "attempts": 0, "informative": true, "worker_id": worker}
	case e.Type == sandbox.EventStepEnter || e.Type == sandbox.EventStepExit:
		return map[string]any{"emitted_by": "orchestrator"}
	case e.Type == "playbook.completed" || e.Type == "playbook.failed":
		return map[string]any{"status": e.Status}
	}
	return nil
}

// rustResult is the result column. The result of a step stands deep in that of call.done, whole; that of
// the playbook stands nowhere.
func rustResult(e sandbox.Event) any {
	within := map[string]any{"command_id": rustCommand(e)}
	switch e.Type {
	case "playbook_started", sandbox.EventIssued, "playbook_cancelled":
		return nil
	case "command.claimed":
		within["worker_id"] = worker
	case "command.started":
	case sandbox.EventCallDone:
		within["call_index"] = 0
		within["result"] = map[string]any{"status": "success", "context": map[string]any{
			"data": e.Result, "duration_ms": 1, "exit_code": 0, "status": "success", "stderr": "", "stdout": "",
		}}
	case sandbox.EventCallError, "command.failed":
		within["error"] = e.Error
	case "command.completed":
		within["status"] = e.Status
	default:
		return map[string]any{"status": e.Status}
	}
	return map[string]any{"context": within, "status": e.Status}
}
