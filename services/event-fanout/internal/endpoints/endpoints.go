// Package endpoints lifts the use cases of event-fanout, once for HTTP and NATS.
package endpoints

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// CallbackRequest is a callback of the first form with the bytes it came as.
type CallbackRequest struct {
	Result fanout.Result
	Body   []byte
}

// Set is every operation of the service.
type Set struct {
	Attach   kit.Operation[fanout.AttachRequest, fanout.Attachment]
	Expect   kit.Operation[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse]
	Bind     kit.Operation[fanoutwire.BindRequest, fanoutwire.BindResponse]
	Abandon  kit.Operation[fanoutwire.AbandonRequest, fanoutwire.AbandonResponse]
	Callback kit.Operation[CallbackRequest, bool]
	Complete kit.Operation[fanout.Result, fanout.Delivery]
	Progress kit.Operation[fanout.Progress, struct{}]
	Route    kit.Operation[fanout.LifecycleEvent, struct{}]

	IssueTicket  kit.Operation[string, fanout.Ticket]
	RedeemTicket kit.Operation[string, string]
	Hello        kit.Operation[string, frame.InitResult]
	Fetch        kit.Operation[fanout.FetchRequest, string]
	Execute      kit.Operation[edgewire.ExecuteRequest, edgewire.ExecuteResponse]
	Rerun        kit.Operation[edgewire.RerunRequest, edgewire.ExecuteResponse]
	Cancel       kit.Operation[edgewire.CancelRequest, edgewire.CancelResponse]
}

// deadline bounds an operation: each is a few round trips to NATS.
const deadline = 5 * time.Second

// reportDeadline bounds what a worker reports: it may have to wait until another replica goes on reading
// the events from before it.
const reportDeadline = 15 * time.Second

// commandDeadline bounds what goes on to NoETL, which may take its time to answer.
const commandDeadline = 60 * time.Second

// Concurrent calls per operation. Workers' calls are many and short.
const (
	clientCalls = 256
	workerCalls = 1024
)

// New makes the set.
func New(svc *fanout.Service, o kit.Observer) Set {
	client := kit.Standard(o, kit.Limits{Deadline: deadline, Concurrency: clientCalls})
	worker := kit.Standard(o, kit.Limits{Deadline: deadline, Concurrency: workerCalls})
	report := kit.Standard(o, kit.Limits{Deadline: reportDeadline, Concurrency: workerCalls})
	command := kit.Standard(o, kit.Limits{Deadline: commandDeadline, Concurrency: clientCalls})
	return Set{
		IssueTicket:  kit.Lift("fanout.issue-ticket", svc.IssueTicket, client...),
		RedeemTicket: kit.Lift("fanout.redeem-ticket", svc.RedeemTicket, client...),
		Hello:        kit.Lift("fanout.hello", svc.Hello, client...),
		Fetch:        kit.Lift("fanout.fetch-result", svc.Fetch, client...),
		Execute:      kit.Lift("fanout.execute", svc.Execute, command...),
		Rerun:        kit.Lift("fanout.rerun", svc.Rerun, command...),
		Cancel:       kit.Lift("fanout.cancel", svc.Cancel, command...),

		Attach:  kit.Lift("fanout.attach", svc.Attach, client...),
		Expect:  kit.Lift("fanout.expect", svc.Expect, worker...),
		Bind:    kit.Lift("fanout.bind", svc.Bind, report...),
		Abandon: kit.Lift("fanout.abandon", svc.Abandon, worker...),
		Callback: kit.Lift("fanout.callback", func(ctx context.Context, in CallbackRequest) (bool, error) {
			return svc.Callback(ctx, in.Result, in.Body)
		}, report...),
		Complete: kit.Lift("fanout.complete", svc.Complete, report...),
		Progress: kit.Lift("fanout.progress", func(ctx context.Context, in fanout.Progress) (struct{}, error) {
			return struct{}{}, svc.Progress(ctx, in)
		}, report...),
		Route: kit.Lift("fanout.route", func(ctx context.Context, in fanout.LifecycleEvent) (struct{}, error) {
			return struct{}{}, svc.Route(ctx, in)
		}, kit.Standard(o, kit.Limits{Deadline: deadline})...),
	}
}
