package operatorwire

import (
	"cmp"
	"slices"
	"time"
)

// SubjectCalls is where all replicas of edge-proxy hear which tools are called there. Each answers with a
// [ToolsResponse] of its own; [MergeTools] makes one of them.
const SubjectCalls = "gateway.edge.v1.calls"

// Bounds of what one replica tells.
const (
	MaxCalls = 200 // calls under way, those that began first
	MaxTools = 100 // tools that are counted by name; the others are counted together
)

// OtherTools is the name of the tools that are counted together.
const OtherTools = "other"

// The kinds of a [Call].
const (
	KindCall   = "call"   // of a tool, whose result a client waits for
	KindListen = "listen" // a client that wants to hear of changed lists
)

// Call is an answer of the MCP endpoint that is under way. Nothing of what was sent is in it.
type Call struct {
	Kind        string    `json:"kind"`
	Tool        string    `json:"tool,omitempty"` // empty until it was found
	Path        string    `json:"path,omitempty"`
	User        string    `json:"user"`                   // id:7 or email:…
	ExecutionID string    `json:"execution_id,omitempty"` // empty until NoETL has started it
	Since       time.Time `json:"since"`
	Replica     string    `json:"replica"`
}

// ToolCount is what was called of one tool since the replicas started.
type ToolCount struct {
	Tool string `json:"tool"` // or [OtherTools]
	Path string `json:"path,omitempty"`
	// Calls are those that have ended. Errors are those of them whose playbook failed or that the gateway could not
	// serve; Tasks are those that go on as tasks. Neither counts a call whose client has left.
	Calls  int64 `json:"calls"`
	Errors int64 `json:"errors"`
	Tasks  int64 `json:"tasks"`
	// MeanSeconds is how long one took that did not become a task.
	MeanSeconds float64 `json:"mean_seconds"`
}

// ToolsResponse tells which tools are called and were called. Of a replica that serves no tools (GATEWAY_MCP=off)
// Enabled is false, and the lists are empty.
type ToolsResponse struct {
	Enabled bool        `json:"enabled"`
	Calls   []Call      `json:"calls"` // those that began first come first
	Total   int         `json:"total"` // of calls under way, also those that are not listed
	Tools   []ToolCount `json:"tools"` // those with most calls come first
	// Replicas are those that answered; Silent are those that did not, of which the rest says nothing.
	Replicas []string `json:"replicas"`
	Silent   []string `json:"silent"`
}

// MergeTools puts together what replicas answered.
func MergeTools(parts ...ToolsResponse) ToolsResponse {
	out := ToolsResponse{Calls: []Call{}, Tools: []ToolCount{}, Replicas: []string{}, Silent: []string{}}
	counts := map[string]*ToolCount{}
	seconds := map[string]float64{} // of all calls of a tool that were no tasks
	for _, p := range parts {
		out.Enabled = out.Enabled || p.Enabled
		out.Calls, out.Total = append(out.Calls, p.Calls...), out.Total+p.Total
		out.Replicas, out.Silent = append(out.Replicas, p.Replicas...), append(out.Silent, p.Silent...)
		for _, t := range p.Tools {
			sum := counts[t.Tool]
			if sum == nil {
				sum = &ToolCount{Tool: t.Tool, Path: t.Path}
				counts[t.Tool] = sum
			}
			seconds[t.Tool] += t.MeanSeconds * float64(t.Calls-t.Tasks)
			sum.Calls, sum.Errors, sum.Tasks = sum.Calls+t.Calls, sum.Errors+t.Errors, sum.Tasks+t.Tasks
		}
	}
	for name, t := range counts {
		if waited := t.Calls - t.Tasks; waited > 0 {
			t.MeanSeconds = seconds[name] / float64(waited)
		}
		out.Tools = append(out.Tools, *t)
	}
	slices.SortStableFunc(out.Calls, func(a, b Call) int { return a.Since.Compare(b.Since) })
	slices.SortFunc(out.Tools, func(a, b ToolCount) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Tool, b.Tool))
	})
	slices.Sort(out.Replicas)
	slices.Sort(out.Silent)
	return out
}
