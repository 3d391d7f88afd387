package natsapi_test

import (
	"fmt"
	"testing"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// The most messages of a task.
const (
	mostToRegisterTask = 6 // count, request, two lists; bind and its route; the user's list is counted rarely
	mostForAQuestion   = 2 // its request, and what is new in its part of the log
	mostForAList       = 1 + 10
)

func TestMessagesOfATask(t *testing.T) {
	t.Parallel()
	r := newReplica(t, true)
	register := func(i int) {
		_, err := r.svc.Expect(t.Context(), fanoutwire.ExpectRequest{
			RequestID: fmt.Sprint("t", i), Owner: "id:7", SessionKey: "key", PlaybookPath: "p", Kept: true,
		})
		testkit.Must(t, err)
		_, err = r.svc.Bind(t.Context(), fanoutwire.BindRequest{
			RequestID: fmt.Sprint("t", i), ExecutionID: fmt.Sprint(1000 + i),
		})
		testkit.Must(t, err)
	}
	register(costRounds) // opens what is opened once
	if sent := r.sent(t, register); sent > mostToRegisterTask+beside {
		t.Errorf("expect and bind sent %.2f messages", sent)
	}
	// A task with many reports: the first question reads them all, the others what is new.
	for i := range 300 {
		testkit.Must(t, r.svc.Progress(t.Context(), fanout.Progress{RequestID: "t0", Message: fmt.Sprint(i)}))
	}
	ask := func(int) {
		out, err := r.svc.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "t0", Owner: "id:7"})
		if err != nil || out.Progress == nil || out.Progress.Message != "299" {
			t.Fatal(out, err)
		}
	}
	ask(0)
	if sent := r.sent(t, ask); sent > mostForAQuestion+beside {
		t.Errorf("a question sent %.2f messages", sent)
	}
	if sent := r.sent(t, func(int) {
		page, err := r.svc.RequestsOf(t.Context(), fanoutwire.RequestsOfRequest{Owner: "id:7", Limit: 10})
		if err != nil || len(page.Requests) != 10 || page.Next == "" {
			t.Fatal(page, err)
		}
	}); sent > mostForAList+beside {
		t.Errorf("a page of ten sent %.2f messages", sent)
	}
}
