//go:build containers

package containers_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// "I clicked, and nothing came": from the request id that a page knows to the request, its frames, its trace and the
// lines of the logs, with the verbs and parts that docs/operations.md names.
func TestAComplaint(t *testing.T) {
	t.Parallel()
	w := start(t, setup{jaeger: true, of: map[string]map[string]string{
		"edge-proxy": {"GATEWAY_OPERATOR_SURFACE": "public", "LOG_LEVEL": "debug"},
	}})
	session := w.login("demo@example.com")
	stream := testkit.OpenEvents(t, w.public, session, nil)
	client := stream.ClientID(t)
	const traceID = "50000000000000000000000000000005" // of the page, which begins a trace
	started := testkit.Decode[struct {
		Data struct{ ExecutePlaybook stack.Started }
	}](t, testkit.Do(t, http.MethodPost, w.public+"/graphql",
		stack.ExecuteBody(client, "demo/progress", `{"step_ms":20}`),
		append(parentOf(traceID), "Authorization", "Bearer "+session)...)).Data.ExecutePlaybook
	events := stream.Until(t, "playbook/result")
	stream.Close() // the page is gone, and its user complains

	// The request id is all that the operator has.
	operator := w.login("admin@example.com")
	verb := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), stack.Binary(t, "noetl-gateway"), args...)
		cmd.Env = []string{"GATEWAY_URL=" + w.public, "GATEWAY_TOKEN=" + operator}
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), operator) || strings.Contains(string(out), session) {
			t.Fatalf("noetl-gateway %v: %v\n%s", args, err, out)
		}
		return out
	}
	var request operatorwire.RequestDetail
	if err := json.Unmarshal(verb("requests", "show", started.RequestID, "--json"), &request); err != nil {
		t.Fatal(err)
	}
	if request.State != "done" || request.ExecutionID != started.ExecutionID || request.ClientID != client ||
		request.Playbook != "demo/progress" || request.TraceID != traceID {
		t.Fatalf("the request: %+v", request)
	}

	// The frames are those that the page was sent.
	sent := map[string]string{}
	for _, e := range events {
		sent[e.ID] = e.Name // the page ran nothing else
	}
	if len(request.Frames) != len(sent) || request.Frames[len(request.Frames)-1].Event != "playbook/result" {
		t.Errorf("the request has the frames %+v, and the page got %v", request.Frames, sent)
	}
	for _, frame := range request.Frames {
		if sent[frame.ID] != frame.Event {
			t.Errorf("frame %+v, and the page got %v", frame, sent)
		}
	}

	// The trace: from the click to the frame that was stored.
	trace := w.trace(t, request.TraceID, func(tr *trace) bool {
		return tr.has("edge-proxy POST /graphql") && tr.has("event-fanout fanout.complete", "event-fanout store frame")
	})
	if got := trace.must("edge-proxy POST /graphql", "edge-proxy edge.execute").tag("noetl.execution.id"); got !=
		started.ExecutionID {
		t.Errorf("the trace is of execution %q", got)
	}

	// The logs: lines of that trace name the request's way, and hold no session.
	testkit.Eventually(t, "the log has the click", func() bool {
		for line := range strings.Lines(w.service["edge-proxy"][0].logs()) {
			if strings.Contains(line, session) || strings.Contains(line, operator) {
				t.Fatal("a session is in the log")
			}
			var said struct {
				TraceID   string `json:"trace_id"`
				RequestID string `json:"request_id"`
			}
			if json.Unmarshal([]byte(line), &said) == nil && said.TraceID == request.TraceID && said.RequestID != "" {
				return true
			}
		}
		return false
	})
	for _, other := range []string{session, ""} { // a person, and nobody
		req := testkit.Request(
			t, http.MethodGet, w.public+"/api/operator/requests/"+started.RequestID, nil,
			"Authorization", "Bearer "+other,
		)
		a, err := testkit.Send(&http.Client{}, req.WithContext(context.WithoutCancel(t.Context())))
		if err != nil || a.Code != http.StatusForbidden && a.Code != http.StatusUnauthorized {
			t.Errorf("somebody who is no operator gets %d %s, %v", a.Code, a.Body, err)
		}
	}
}
