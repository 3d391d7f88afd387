package natspending

import (
	"context"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var _ tools.Outcomes = (*Outcomes)(nil)

// Outcomes is the NATS adapter. It is safe for concurrent use.
type Outcomes struct{ calls *natskit.Client }

// NewOutcomes makes the adapter.
func NewOutcomes(calls *natskit.Client) *Outcomes { return &Outcomes{calls: calls} }

// Outcome implements the port.
func (o *Outcomes) Outcome(ctx context.Context, in fanoutwire.OutcomeRequest) (fanoutwire.Outcome, error) {
	return ask[fanoutwire.OutcomeRequest, fanoutwire.Outcome](ctx, o.calls, fanoutwire.SubjectOutcome, in)
}

// RequestsOf implements the port.
func (o *Outcomes) RequestsOf(
	ctx context.Context, in fanoutwire.RequestsOfRequest,
) (fanoutwire.RequestsOfResponse, error) {
	return ask[fanoutwire.RequestsOfRequest, fanoutwire.RequestsOfResponse](
		ctx, o.calls, fanoutwire.SubjectRequestsOf, in)
}

// maxTaskPages bounds how many pages of tasks are read: event-fanout lets no session have so many.
const maxTaskPages = 50

// TasksOfSession implements the port. A task about which somebody asks may move to the front of the list while it is
// read, and would be missed: a list of several pages is read until nothing new is found.
func (o *Outcomes) TasksOfSession(ctx context.Context, sessionKey string) ([]fanoutwire.OwnRequest, error) {
	var tasks []fanoutwire.OwnRequest
	known := map[string]bool{}
	in := fanoutwire.TasksOfSessionRequest{SessionKey: sessionKey}
	before := 0 // how many were known when the list was begun
	for range maxTaskPages {
		page, err := ask[fanoutwire.TasksOfSessionRequest, fanoutwire.RequestsOfResponse](
			ctx, o.calls, fanoutwire.SubjectTasksOfSession, in)
		if err != nil {
			return nil, err
		}
		for _, task := range page.Requests {
			if !known[task.RequestID] {
				known[task.RequestID] = true
				tasks = append(tasks, task)
			}
		}
		whole := in.Cursor == "" && page.Next == ""
		if in.Cursor = page.Next; in.Cursor != "" {
			continue
		}
		if whole || len(tasks) == before {
			return tasks, nil
		}
		before = len(tasks)
	}
	return nil, fault.New(
		fault.BadGateway, "endless_tasks", "event-fanout does not come to an end with the tasks of a session",
	)
}

// ask calls an operation that changes nothing.
func ask[In, Out any](ctx context.Context, calls *natskit.Client, subject string, in In) (out Out, err error) {
	err = again(ctx, func(ctx context.Context) error {
		out, err = natskit.Call[In, Out](ctx, calls, callee, subject, in)
		return err
	})
	return out, err
}
