package clients_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// firstFrame reads the first frame of an event stream and returns the client id.
func firstFrame(t *testing.T, line said) string {
	t.Helper()
	var m struct {
		Result struct {
			ProtocolVersion, ClientID string
			ServerInfo                struct{ Name string }
			Capabilities              struct{ Playbooks, Callbacks, PlaybookState bool }
		}
		Params struct{ ClientID string } // GraphQL has it there
	}
	if err := json.Unmarshal(line.Data, &m); err != nil {
		t.Fatalf("first frame %+v: %v", line, err)
	}
	// Its id, if the transport has ids for it, leads back to the client and its place.
	if line.Event == "initialized" && m.Params.ClientID != "" && names(line.ID, m.Params.ClientID) {
		return m.Params.ClientID
	}
	r := m.Result
	c := r.Capabilities
	if line.Event != "message" || (line.ID != "" && !names(line.ID, r.ClientID)) || r.ProtocolVersion == "" ||
		r.ServerInfo.Name != "noetl-gateway" || r.ClientID == "" || !c.Playbooks || !c.Callbacks || !c.PlaybookState {
		t.Fatalf("no first frame: %+v %s", line, line.Data)
	}
	return r.ClientID
}

// run collects the frames of executions of one client.
type run struct {
	last     string
	frames   int
	progress []float64
	states   []string
	result   json.RawMessage
}

// take adds a frame: it must be of the execution, and come after all that were there before.
func (r *run) take(t *testing.T, line said, started stack.Started) {
	t.Helper()
	var m struct {
		Params struct {
			RequestID   string          `json:"requestId"`
			ExecutionID string          `json:"executionId"`
			Snake       string          `json:"execution_id"`
			Progress    float64         `json:"progress"`
			Status      string          `json:"status"`
			EventType   string          `json:"event_type"`
			StepName    string          `json:"step_name"`
			Data        json.RawMessage `json:"data"`
		}
	}
	if err := json.Unmarshal(line.Data, &m); err != nil {
		t.Fatalf("%+v: %v", line, err)
	}
	if !after(t, line.ID, r.last) {
		t.Errorf("frame %s %s came after %s", line.Event, line.ID, r.last)
	}
	r.last = line.ID
	r.frames++
	// The first report of a worker names no execution, and may come before the answer of execute does.
	early := line.Event == "playbook/progress" && len(r.progress) == 0
	if id := m.Params.ExecutionID + m.Params.Snake; id != started.ExecutionID && (!early || id != "") {
		t.Errorf("a frame of the execution %q, want %q", id, started.ExecutionID)
	}
	switch line.Event {
	case "playbook/progress":
		r.progress = append(r.progress, m.Params.Progress)
	case "playbook/state":
		r.states = append(r.states, m.Params.EventType+":"+m.Params.StepName)
	case "playbook/result":
		if m.Params.RequestID != started.RequestID || m.Params.Status != "COMPLETED" {
			t.Errorf("result: %s, want that of %s", line.Data, started.RequestID)
		}
		r.result = m.Params.Data
	default:
		t.Errorf("an unexpected frame: %+v %s", line, line.Data)
	}
}

// startID is what the id of a first frame is: the place that the stream goes on from, and the client.
var startID = regexp.MustCompile(`^[^-]+-s?[0-9]+-(.+)$`)

// names reports whether the id of a first frame leads back to the client.
func names(id, client string) bool {
	m := startID.FindStringSubmatch(id)
	return m != nil && m[1] == client
}

// frameID is what the id of a frame is: the log, the number in it, and the client.
var frameID = regexp.MustCompile(`^([^-]+)-([0-9]+)-(.+)$`)

// after reports whether the frame id comes after the other of the same client, which may be "".
func after(t *testing.T, id, other string) bool {
	t.Helper()
	m := frameID.FindStringSubmatch(id)
	if m == nil {
		t.Fatalf("frame id %q", id)
	}
	if other == "" {
		return true
	}
	before := frameID.FindStringSubmatch(other)
	seq, err := strconv.ParseUint(m[2], 10, 64)
	then, otherErr := strconv.ParseUint(before[2], 10, 64)
	return err == nil && otherErr == nil && seq > then && m[1] == before[1] && m[3] == before[3]
}

// complete wants all that one execution of demo/progress sends, each frame once and in order.
func (r *run) complete(t *testing.T) {
	t.Helper()
	if want := []float64{0.2, 0.4, 0.6, 0.8, 1}; !slices.Equal(r.progress, want) {
		t.Errorf("progress %v, want %v", r.progress, want)
	}
	var want []string
	for _, step := range []string{"prepare", "extract", "transform", "load", "report"} {
		want = append(want, "step.enter:"+step, "step.exit:"+step)
	}
	if want = append(want, "playbook.completed:playbook"); !slices.Equal(r.states, want) {
		t.Errorf("states %v, want %v", r.states, want)
	}
	if r.frames != len(r.progress)+len(r.states)+1 || !strings.Contains(string(r.result), "five steps") {
		t.Errorf("%d frames, result %s", r.frames, r.result)
	}
}
