package httpapi

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Operations are what the listeners ask of the domain, each behind its limits.
type Operations struct {
	Attach       func(context.Context, fanout.AttachRequest) (fanout.Attachment, error)
	IssueTicket  func(context.Context, authwire.Token) (fanout.Ticket, error)
	RedeemTicket func(context.Context, string) (authwire.Token, error)
	Hello        func(context.Context, string) (frame.InitResult, error)
	Fetch        func(context.Context, fanout.FetchRequest) (string, error)
	Execute      func(context.Context, edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error)
	Rerun        func(context.Context, edgewire.RerunRequest) (edgewire.ExecuteResponse, error)
	Cancel       func(context.Context, edgewire.CancelRequest) (edgewire.CancelResponse, error)
	Callback     func(context.Context, CallbackRequest) (bool, error)
	Complete     func(context.Context, fanout.Result) (fanout.Delivery, error)
	Progress     func(context.Context, fanout.Progress) (struct{}, error)
}

// Deadlines of operations.
const (
	// deadline bounds a few round trips to NATS.
	deadline = 5 * time.Second
	// reportDeadline bounds what a worker reports: it may have to wait until another replica goes on reading the
	// events from before it.
	reportDeadline = 15 * time.Second
	// commandDeadline bounds what goes on to NoETL, which may take its time to answer.
	commandDeadline = 60 * time.Second
)

// Concurrent calls per operation. Workers' calls are many and short.
const (
	clientCalls = 256
	workerCalls = 1024
)

// Bind is the table of operations: one row each, with its name, its limits and the method.
func Bind(svc *fanout.Service, o kit.Observer) Operations {
	client := kit.Limits{Deadline: deadline, Concurrency: clientCalls}
	command := kit.Limits{Deadline: commandDeadline, Concurrency: clientCalls}
	report := kit.Limits{Deadline: reportDeadline, Concurrency: workerCalls}
	return Operations{
		Attach:       kit.Bind(o, "fanout.attach", client, svc.Attach),
		IssueTicket:  kit.Bind(o, "fanout.issue-ticket", client, svc.IssueTicket),
		RedeemTicket: kit.Bind(o, "fanout.redeem-ticket", client, svc.RedeemTicket),
		Hello:        kit.Bind(o, "fanout.hello", client, svc.Hello),
		Fetch:        kit.Bind(o, "fanout.fetch-result", client, svc.Fetch),
		Execute:      kit.Bind(o, "fanout.execute", command, svc.Execute),
		Rerun:        kit.Bind(o, "fanout.rerun", command, svc.Rerun),
		Cancel:       kit.Bind(o, "fanout.cancel", command, svc.Cancel),
		Complete:     kit.Bind(o, "fanout.complete", report, svc.Complete),
		Callback: kit.Bind(o, "fanout.callback", report,
			func(ctx context.Context, in CallbackRequest) (bool, error) {
				return svc.Callback(ctx, in.Result, in.Body)
			}),
		Progress: kit.Bind(o, "fanout.progress", report,
			func(ctx context.Context, in fanout.Progress) (struct{}, error) {
				return struct{}{}, svc.Progress(ctx, in)
			}),
	}
}

// CallbackRequest is a callback of the first form with the bytes it came as.
type CallbackRequest struct {
	Result fanout.Result
	Body   []byte
}
