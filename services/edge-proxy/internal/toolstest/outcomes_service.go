package toolstest

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
)

// OutcomesOperations is how many operations an [OutcomesService] has.
const OutcomesOperations = 3

// OutcomesService serves the fake on event-fanout's subjects.
func OutcomesService(nc *nats.Conn, o *Outcomes) *natskit.Service {
	return natskit.NewService(nc, telemetry.Nop("event-fanout"), "event-fanout", "test",
		row(fanoutwire.SubjectOutcome, "fanout.outcome", o.Outcome),
		row(fanoutwire.SubjectRequestsOf, "fanout.requests-of", o.RequestsOf),
		row(fanoutwire.SubjectTasksOfSession, "fanout.tasks-of-session", o.TasksPage))
}

func row[In, Out any](subject, operation string, use func(context.Context, In) (Out, error)) natskit.Endpoint {
	limits := kit.Limits{Deadline: 5 * time.Second, Concurrency: 64}
	return natskit.Handle(kit.NewObserver(telemetry.Nop("test"), "test"), subject, operation, limits, use)
}
