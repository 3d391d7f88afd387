package fanout

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Expect registers a pending request. It is called before NoETL is, so no answer can be early. It
// is idempotent: who got no answer may ask again.
func (s *Service) Expect(ctx context.Context, in fanoutwire.ExpectRequest) (fanoutwire.ExpectResponse, error) {
	var none fanoutwire.ExpectResponse
	in.RequestID = noetlwire.RequestID(in.RequestID)
	if !noetlwire.ValidID(in.RequestID) {
		return none, errBadRequestID()
	}
	r := Request{
		ID:           in.RequestID,
		ClientID:     in.ClientID,
		SessionKey:   in.SessionKey,
		Owner:        in.Owner,
		PlaybookPath: in.PlaybookPath,
		CreatedAt:    s.Now(),
		Attempt:      in.Attempt,
		Kept:         in.Kept,
		Listed:       in.Listed || in.Kept,
	}
	if s.TraceID != nil {
		r.TraceID = s.TraceID(ctx)
	}
	if r.Listed && r.Owner == "" {
		return none, errNoOwner()
	}
	if r.Kept {
		return none, s.expectKept(ctx, r)
	}
	if !noetlwire.ValidID(in.ClientID) {
		return none, errBadClientID()
	}
	owner, err := s.Clients.Owner(ctx, in.ClientID)
	switch {
	case err != nil:
		return none, err
	case owner == "":
		return none, errUnknownClient()
	case owner != in.Owner:
		return none, errNotOwner()
	}
	if err := s.Requests.Add(ctx, r); err != nil {
		if _, same := s.same(ctx, r, err); !same {
			return none, err
		}
	}
	if r.Listed {
		return none, s.enlist(ctx, r)
	}
	return none, s.Pending.Add(ctx, in.ClientID, in.RequestID)
}

// ownClient begins the client ids of tasks. Nobody can attach to one, see [Service.Attach]: so they need no owner, of
// which each would be kept for two days.
const ownClient = "gateway-task-"

// OfTask reports whether a client id is that of a task.
func OfTask(clientID string) bool { return strings.HasPrefix(clientID, ownClient) }

// expectKept registers a task.
func (s *Service) expectKept(ctx context.Context, r Request) error {
	switch {
	case r.ClientID != "":
		return errClientOfKept()
	case r.SessionKey == "":
		return errNoSessionKey()
	}
	r.ClientID = ownClient + s.NewID()
	var full, added error
	_ = together(
		func() error {
			full = s.admitTask(ctx, r.SessionKey)
			return nil
		},
		func() error {
			added = s.Requests.Add(ctx, r)
			return nil
		},
	)
	switch {
	case added != nil:
		there, same := s.same(ctx, r, added)
		if !same {
			return added
		}
		r = there // it was admitted then
	case full != nil:
		if err := s.Requests.Remove(ctx, r.ID); err != nil {
			s.Logger.DebugContext(ctx, "a rejected task ages out", "err", err)
		}
		return full
	}
	return s.enlist(ctx, r)
}

// same returns the request that exists if it is the one that is to be added.
func (s *Service) same(ctx context.Context, r Request, err error) (there Request, same bool) {
	if kind, _ := fault.KindOf(err); kind != fault.Conflict {
		return there, false
	}
	there, err = s.Requests.Get(ctx, r.ID)
	return there, err == nil && there.SessionKey == r.SessionKey && there.Attempt == r.Attempt &&
		there.Kept == r.Kept && (there.ClientID == r.ClientID || r.Kept && there.Owner == r.Owner) &&
		there.ExecutionID == "" && !there.Done
}

// Bind says which execution a request became, and delivers the events of that execution that
// were there before. It is idempotent.
func (s *Service) Bind(ctx context.Context, in fanoutwire.BindRequest) (fanoutwire.BindResponse, error) {
	var none fanoutwire.BindResponse
	in.RequestID = noetlwire.RequestID(in.RequestID)
	if !noetlwire.ValidID(in.RequestID) {
		return none, errBadRequestID()
	}
	if !noetlwire.ValidID(in.ExecutionID) {
		return none, errBadExecutionID()
	}
	_, err := s.bind(ctx, Request{ID: in.RequestID}, in.ExecutionID)
	return none, err
}

// bind binds, puts the request where events find it, and delivers what the log has.
func (s *Service) bind(ctx context.Context, r Request, executionID string) (Request, error) {
	r, err := s.Requests.Bind(ctx, r, executionID)
	switch {
	case err != nil:
		return r, err
	case r.ExecutionID != executionID:
		return r, errBoundElsewhere()
	case !r.Pending():
		return r, nil
	}
	route, err := s.Routes.Put(ctx, executionID, Route{RequestID: r.ID, ClientID: r.ClientID})
	if err != nil {
		return r, err
	}
	s.served.Put(served{executionID, r.ID}, route, s.Now())
	return r, s.catchUp(ctx, executionID, route)
}

// leave takes a finished request out of the index of its execution. Where events come, it stays until
// the one that ends the execution: a server may tell of a step half a second after a worker told of the
// result, and the page wants to see it. Where none come, it stays for a while, in case they do yet.
func (s *Service) leave(ctx context.Context, r Request, settled error) error {
	if r.ExecutionID == "" || !errors.Is(settled, ErrNoSource()) {
		return nil
	}
	if s.retiring.add(retired{r.ExecutionID, r.ID, s.Now().Add(retireAfter)}) {
		return nil
	}
	return s.Routes.Delete(ctx, r.ExecutionID, r.ID)
}

// leaveTask takes a finished task out of the indexes immediately: what comes after its result interests nobody, and
// must not push it out of the log.
func (s *Service) leaveTask(ctx context.Context, r Request) error {
	return together(
		func() error {
			s.taskEnded(ctx, r)
			return nil
		},
		func() error {
			if r.ExecutionID == "" {
				return nil
			}
			s.served.Delete(served{r.ExecutionID, r.ID})
			return s.Routes.Delete(ctx, r.ExecutionID, r.ID)
		},
	)
}

// settlePatience is how long a report waits for the events from before it: longer than it takes
// another replica to go on reading after the death of the one that did.
const settlePatience = 6 * time.Second

// settle waits until what NoETL told before is in the log, as far as that can be known.
func (s *Service) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	err := s.Settler.Settle(ctx)
	if err != nil && !errors.Is(err, ErrNoSource()) {
		s.Logger.DebugContext(ctx, "lifecycle events may come later than what is reported", "err", err)
	}
	return err
}

// Abandon forgets a request whose execution did not start.
func (s *Service) Abandon(ctx context.Context, in fanoutwire.AbandonRequest) (fanoutwire.AbandonResponse, error) {
	var none fanoutwire.AbandonResponse
	in.RequestID = noetlwire.RequestID(in.RequestID)
	r, err := s.Requests.Get(ctx, in.RequestID)
	if err != nil {
		if kind, _ := fault.KindOf(err); kind == fault.NotFound {
			return none, nil
		}
		return none, err
	}
	// The request goes last: as long as it is there, who asks again finds what is left to do.
	if err := s.forget(ctx, r); err != nil {
		return none, err
	}
	return none, s.Requests.Remove(ctx, r.ID)
}

// forget takes a request out of the indexes and lists.
func (s *Service) forget(ctx context.Context, r Request) error {
	if err := s.delist(ctx, r); err != nil {
		return err
	}
	if err := s.Pending.Delete(ctx, r.ClientID, r.ID); err != nil {
		return err
	}
	if r.ExecutionID == "" {
		return nil
	}
	return s.Routes.Delete(ctx, r.ExecutionID, r.ID)
}
