package natspending_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natspending"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func TestOutcomesConform(t *testing.T) {
	t.Parallel()
	toolstest.RunOutcomes(t, func(t *testing.T) (tools.Outcomes, *toolstest.Outcomes) {
		t.Helper()
		n, behind := testkit.StartNATS(t), toolstest.NewOutcomes()
		nc := n.Connect(t)
		edgetest.Serve(t, nc, "event-fanout", toolstest.OutcomesOperations, toolstest.OutcomesService(nc, behind))
		return natspending.NewOutcomes(natskit.NewClient(n.Connect(t), telemetry.Nop("test"))), behind
	})
}

func TestNobodyTellsOutcomesIsAnOutage(t *testing.T) {
	t.Parallel()
	port := natspending.NewOutcomes(natskit.NewClient(testkit.StartNATS(t).Connect(t), telemetry.Nop("test")))
	_, err := port.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "r1", Owner: "id:7"})
	if !fault.IsOutage(err) || fault.Of(err).Code != "event-fanout_unavailable" {
		t.Errorf("err = %v", err)
	}
}

// A list without an end would hold whoever ends a session forever.
func TestTasksWithoutAnEndAreAnError(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	sub, err := nc.Subscribe(fanoutwire.SubjectTasksOfSession, func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"requests":[],"next":"1"}`))
	})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	testkit.Must(t, nc.Flush())
	port := natspending.NewOutcomes(natskit.NewClient(n.Connect(t), telemetry.Nop("test")))
	if tasks, err := port.TasksOfSession(t.Context(), "k"); fault.Of(err) == nil ||
		fault.Of(err).Code != "endless_tasks" {
		t.Errorf("%v %v", tasks, err)
	}
}

// Somebody asks about a task while the list is read, so it moves to the front: it ends with its session all the same.
func TestATaskThatMovesWhileTheListIsReadIsFound(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc, asked := n.Connect(t), 0
	answers := []string{
		`{"requests":[{"request_id":"a"},{"request_id":"b"}],"next":"2"}`, `{"requests":[{"request_id":"c"}]}`,
		`{"requests":[{"request_id":"moved"},{"request_id":"a"}],"next":"1"}`,
		`{"requests":[{"request_id":"b"},{"request_id":"c"}]}`,
	}
	sub, err := nc.Subscribe(fanoutwire.SubjectTasksOfSession, func(m *nats.Msg) {
		_ = m.Respond([]byte(answers[min(asked, 2+asked%2)]))
		asked++
	})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	testkit.Must(t, nc.Flush())
	port := natspending.NewOutcomes(natskit.NewClient(n.Connect(t), telemetry.Nop("test")))
	tasks, err := port.TasksOfSession(t.Context(), "k")
	testkit.Must(t, err)
	var ids []string
	for _, task := range tasks {
		ids = append(ids, task.RequestID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "moved"}, ids); diff != "" {
		t.Error(diff)
	}
}
