package toolstest

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var _ tools.Outcomes = (*Outcomes)(nil)

// KnownRequest is a request as the fake knows it. It is listed for its owner if Listed is set or it is a task.
type KnownRequest struct {
	Owner      string
	SessionKey string
	Listed     bool
	Outcome    fanoutwire.Outcome
}

// Outcomes is an event-fanout in memory that was told what became of requests.
type Outcomes struct {
	fake.Failing
	// Page is how many tasks of a session one page holds; 0 is 100.
	Page fake.Value[int]

	mu    sync.Mutex
	known []KnownRequest // oldest first
}

// NewOutcomes makes a fake that knows nothing.
func NewOutcomes() *Outcomes { return &Outcomes{} }

// Put tells the fake what became of a request. What it was told before about that one does not count any more.
func (o *Outcomes) Put(r KnownRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, known := range o.known {
		if known.Outcome.RequestID == r.Outcome.RequestID {
			o.known[i] = r
			return
		}
	}
	o.known = append(o.known, r)
}

// Forget forgets a request.
func (o *Outcomes) Forget(requestID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = slices.DeleteFunc(o.known, func(r KnownRequest) bool { return r.Outcome.RequestID == requestID })
}

// Outcome implements the port.
func (o *Outcomes) Outcome(ctx context.Context, in fanoutwire.OutcomeRequest) (fanoutwire.Outcome, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.err(ctx); err != nil {
		return fanoutwire.Outcome{}, err
	}
	for _, r := range o.known {
		if r.Outcome.RequestID == in.RequestID && r.Owner == in.Owner && in.Owner != "" {
			return r.Outcome, nil
		}
	}
	return fanoutwire.Outcome{}, fault.New(fault.NotFound, "request_not_found", "Request not found")
}

// RequestsOf implements the port.
func (o *Outcomes) RequestsOf(
	ctx context.Context, in fanoutwire.RequestsOfRequest,
) (fanoutwire.RequestsOfResponse, error) {
	if in.Limit <= 0 {
		in.Limit = 50
	}
	return o.page(ctx, in.Cursor, min(in.Limit, 100), func(r KnownRequest) bool {
		return r.Owner == in.Owner && (r.Outcome.Task || r.Listed && !in.Tasks)
	})
}

// TasksOfSession implements the port.
func (o *Outcomes) TasksOfSession(ctx context.Context, sessionKey string) (all []fanoutwire.OwnRequest, err error) {
	in := fanoutwire.TasksOfSessionRequest{SessionKey: sessionKey}
	for {
		page, err := o.TasksPage(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Requests...)
		if in.Cursor = page.Next; in.Cursor == "" {
			return all, nil
		}
	}
}

// TasksPage is the operation behind TasksOfSession.
func (o *Outcomes) TasksPage(
	ctx context.Context, in fanoutwire.TasksOfSessionRequest,
) (fanoutwire.RequestsOfResponse, error) {
	limit := o.Page.Get()
	if limit <= 0 {
		limit = 100
	}
	return o.page(ctx, in.Cursor, limit, func(r KnownRequest) bool {
		own := r.Outcome.OwnRequest
		return r.SessionKey == in.SessionKey && own.Task && !own.Done && own.Ended == ""
	})
}

// page returns the newest requests before a cursor, which is the place of one.
func (o *Outcomes) page(
	ctx context.Context, cursor string, limit int, wanted func(KnownRequest) bool,
) (fanoutwire.RequestsOfResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := fanoutwire.RequestsOfResponse{Requests: []fanoutwire.OwnRequest{}}
	if err := o.err(ctx); err != nil {
		return out, err
	}
	before := len(o.known)
	if cursor != "" {
		place, err := strconv.Atoi(cursor)
		if err != nil || place < 1 {
			return out, fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
		}
		before = min(before, place-1)
	}
	last := 0
	for i := before - 1; i >= 0; i-- {
		if !wanted(o.known[i]) {
			continue
		}
		if len(out.Requests) == limit {
			out.Next = strconv.Itoa(last)
			break
		}
		last = i + 1
		out.Requests = append(out.Requests, o.known[i].Outcome.OwnRequest)
	}
	return out, nil
}

func (o *Outcomes) err(ctx context.Context) error {
	if err := o.Err(); err != nil {
		return err
	}
	return ctx.Err()
}
