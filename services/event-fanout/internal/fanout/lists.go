package fanout

import (
	"context"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/services/event-fanout/internal/recent"
)

// Bounds of lists. One read finds all entries of one, so both are well below the 1024 that the server names in an
// answer.
const (
	// listedPerOwner is how many requests of a user are kept listed: the oldest leave the list, and are known all the
	// same.
	listedPerOwner = 500
	// checkEvery is after how many requests of a user this process looks whether the list is longer.
	checkEvery = 16
	// tasksPerSession is how many unfinished tasks a session may have. One more is rejected: a task that left the list
	// of its session would survive the end of that.
	tasksPerSession = 500
	// sweepEvery is how often a full list of tasks is looked through for those that have ended.
	sweepEvery = time.Minute
	// maxLists is of how many lists this process remembers when it looked at them.
	maxLists = 20_000
)

// Bounds of one page.
const (
	defaultListPage = 50
	maxListPage     = 100
)

// lists is what this process remembers of lists.
type lists struct {
	added *recent.Cache[List, int]
	swept *recent.Cache[List, struct{}]
}

func newLists() lists {
	return lists{
		added: recent.New[List, int](time.Hour, maxLists), swept: recent.New[List, struct{}](sweepEvery, maxLists),
	}
}

func ownerList(owner string) List { return List{ListOfOwner, owner} }

func sessionList(key string) List { return List{ListOfSession, key} }

// enlist puts a request where its user, and the end of its session, finds it.
func (s *Service) enlist(ctx context.Context, r Request) error {
	entry := ListedRequest{RequestID: r.ID, Task: r.Kept}
	if !r.Kept { // the list takes the place of what the first frame of its client would tell
		return s.enlistForOwner(ctx, ownerList(r.Owner), entry)
	}
	return together(
		func() error { return s.enlistForOwner(ctx, ownerList(r.Owner), entry) },
		func() error { return s.Lists.Add(ctx, sessionList(r.SessionKey), entry) },
	)
}

func (s *Service) enlistForOwner(ctx context.Context, l List, entry ListedRequest) error {
	if err := s.Lists.Add(ctx, l, entry); err != nil {
		return err
	}
	added, _ := s.lists.added.Get(l, s.Now())
	s.lists.added.Put(l, added+1, s.Now())
	if added%checkEvery != 0 {
		return nil
	}
	n, err := s.Lists.Count(ctx, l)
	if err != nil || n <= listedPerOwner {
		return err
	}
	return s.Lists.Trim(ctx, l, listedPerOwner)
}

// admitTask returns the fault of a session that has too many unfinished tasks.
func (s *Service) admitTask(ctx context.Context, sessionKey string) error {
	l := sessionList(sessionKey)
	n, err := s.Lists.Count(ctx, l)
	if err != nil || n < tasksPerSession {
		return err
	}
	// Those that ended when a replica died are still listed.
	if _, swept := s.lists.swept.Get(l, s.Now()); swept {
		return errTooManyTasks()
	}
	s.lists.swept.Put(l, struct{}{}, s.Now())
	entries, err := s.Lists.All(ctx, l)
	if err != nil {
		return err
	}
	requests, err := s.Requests.Several(ctx, idsOf(entries))
	if err != nil {
		return err
	}
	left := len(entries)
	for _, r := range requests {
		if !r.Pending() {
			if err := s.Lists.Delete(ctx, l, r.ID); err != nil {
				return err
			}
			left--
		}
	}
	if left >= tasksPerSession {
		return errTooManyTasks()
	}
	return nil
}

// taskEnded takes a task that has ended out of the list of the unfinished ones. What fails ages out.
func (s *Service) taskEnded(ctx context.Context, r Request) {
	if err := s.Lists.Delete(ctx, sessionList(r.SessionKey), r.ID); err != nil {
		s.Logger.DebugContext(ctx, "a finished task stays listed until it ages out", "err", err)
	}
}

// delist takes a request that is to be forgotten out of every list.
func (s *Service) delist(ctx context.Context, r Request) error {
	if !r.Listed {
		return nil
	}
	if err := s.Lists.Delete(ctx, ownerList(r.Owner), r.ID); err != nil || !r.Kept {
		return err
	}
	return s.Lists.Delete(ctx, sessionList(r.SessionKey), r.ID)
}

// RequestsOf returns a page of the listed requests of a user, newest first.
func (s *Service) RequestsOf(
	ctx context.Context, in fanoutwire.RequestsOfRequest,
) (fanoutwire.RequestsOfResponse, error) {
	if in.Owner == "" {
		return fanoutwire.RequestsOfResponse{}, errNoOwner()
	}
	return s.listed(ctx, ownerList(in.Owner), in.Cursor, in.Limit, in.Tasks, func(r Request) bool {
		return r.Owner == in.Owner
	})
}

// TasksOfSession returns a page of the unfinished tasks of a session, newest first.
func (s *Service) TasksOfSession(
	ctx context.Context, in fanoutwire.TasksOfSessionRequest,
) (fanoutwire.RequestsOfResponse, error) {
	if in.SessionKey == "" {
		return fanoutwire.RequestsOfResponse{}, errNoSessionKey()
	}
	return s.listed(ctx, sessionList(in.SessionKey), in.Cursor, maxListPage, true, func(r Request) bool {
		return r.SessionKey == in.SessionKey && r.Pending()
	})
}

// listed returns a page of a list. The cursor is the revision of the last entry that the page before looked at.
func (s *Service) listed(
	ctx context.Context, l List, cursor string, limit int, tasks bool, shown func(Request) bool,
) (fanoutwire.RequestsOfResponse, error) {
	out := fanoutwire.RequestsOfResponse{Requests: []fanoutwire.OwnRequest{}}
	before := uint64(math.MaxUint64)
	if cursor != "" {
		var err error
		if before, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return out, errBadCursor()
		}
	}
	if limit <= 0 {
		limit = defaultListPage
	}
	limit = min(limit, maxListPage)
	entries, err := s.Lists.All(ctx, l)
	if err != nil {
		return out, err
	}
	var page []ListedRequest
	for _, e := range entries {
		if e.Revision >= before || tasks && !e.Task {
			continue
		}
		if len(page) == limit {
			out.Next = strconv.FormatUint(page[limit-1].Revision, 10)
			break
		}
		page = append(page, e)
	}
	requests, err := s.Requests.Several(ctx, idsOf(page))
	if err != nil {
		return fanoutwire.RequestsOfResponse{}, err
	}
	known := make(map[string]Request, len(requests))
	for _, r := range requests {
		known[r.ID] = r
	}
	ttl := s.Requests.TTL(ctx)
	for _, e := range page {
		r, found := known[e.RequestID]
		r.Kept = r.Kept || e.Task // a replica of an earlier build that bound it has forgotten that
		if found && shown(r) {
			out.Requests = append(out.Requests, s.own(r, ttl))
		}
	}
	return out, nil
}

// own is what its user sees of a request.
func (s *Service) own(r Request, ttl time.Duration) fanoutwire.OwnRequest {
	return fanoutwire.OwnRequest{
		RequestID: r.ID, ExecutionID: r.ExecutionID, PlaybookPath: cut(r.PlaybookPath, maxText),
		CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.forgottenAt(ttl).UTC(),
		Ended: r.Ended, Done: r.Done, Task: r.Kept,
	}
}

func idsOf(entries []ListedRequest) []string {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.RequestID
	}
	return ids
}

// together runs steps concurrently and returns one of their errors.
func together(steps ...func() error) error {
	errs := make([]error, len(steps))
	var running sync.WaitGroup
	for i, step := range steps {
		running.Go(func() { errs[i] = step() })
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
