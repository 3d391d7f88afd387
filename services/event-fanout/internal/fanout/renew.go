package fanout

import (
	"context"
	"time"
)

// renewals is into how many parts the time of a task is divided: whoever asks about one that has used up a part gives
// it its whole time again.
const renewals = 4

// renewed keeps a task that has not ended from being forgotten, because somebody asks about it: an execution may take
// longer than a request is known. The next question tries again what fails.
func (s *Service) renewed(ctx context.Context, r Request, ttl time.Duration) Request {
	if !r.Kept || !r.Pending() || s.Now().Sub(r.StoredAt) < ttl/renewals {
		return r
	}
	stored, err := s.renew(ctx, r)
	if err != nil {
		s.Logger.DebugContext(ctx, "a task gets no more time yet", "err", err)
		return r
	}
	return stored
}

// renew stores a task and all that leads to it again. The task goes last: its age says whether that was done.
func (s *Service) renew(ctx context.Context, r Request) (Request, error) {
	err := together(
		func() error { return s.renewRoute(ctx, r) },
		func() error { return s.enlist(ctx, r) },
	)
	if err != nil {
		return r, err
	}
	return s.Requests.Renew(ctx, r)
}

func (s *Service) renewRoute(ctx context.Context, r Request) error {
	if r.ExecutionID == "" {
		return nil
	}
	route, found, err := s.Routes.Get(ctx, r.ExecutionID, r.ID)
	if err != nil || !found {
		return err // it was taken out, because the execution has ended
	}
	s.served.Delete(served{r.ExecutionID, r.ID}) // the route gets another revision
	return s.Routes.Advance(ctx, r.ExecutionID, route)
}

// forgottenAt is when a request is forgotten unless it is stored again. It is stored when it is bound and when it ends,
// too: that soon after its start it makes no difference, and an even number is easier to read.
func (r Request) forgottenAt(ttl time.Duration) time.Time {
	if r.StoredAt.Sub(r.CreatedAt) < ttl/renewals {
		return r.CreatedAt.Add(ttl)
	}
	return r.StoredAt.Add(ttl)
}
