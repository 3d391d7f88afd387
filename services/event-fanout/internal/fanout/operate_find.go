package fanout

import (
	"context"

	"github.com/noetl/gateway/libs/fault"
)

// Bounds of the search for a request that has ended: among how many it is looked for, and in how many reads, each of
// which may return fewer than it was asked for.
const (
	findNewest = 6000
	findReads  = 12
)

// findRequest returns the request that an id names: its own, its execution's or its client's, of which the newest
// counts. What still pends is found by the indexes. What has ended is looked for among those that changed last, so that
// a wrong id costs no more than they do: an older one is found by its own id only.
func (s *Service) findRequest(ctx context.Context, id string) (Request, error) {
	r, err := s.Requests.Get(ctx, id)
	if kind, _ := fault.KindOf(err); err == nil || kind != fault.NotFound {
		return r, err
	}
	unknown := fault.Wrap(
		err, fault.NotFound, "unknown_request",
		"there is no request of that id, execution or client, or it has aged out; "+
			"one that ended a while ago is found by its own id only",
	)
	routes, err := s.Routes.ByExecution(ctx, id)
	if err != nil {
		return Request{}, err
	}
	pending, err := s.Pending.List(ctx, id)
	if err != nil {
		return Request{}, err
	}
	var ids []string
	for _, one := range routes {
		ids = append(ids, one.RequestID)
	}
	for _, one := range pending {
		ids = append(ids, one.RequestID)
	}
	known, err := s.Requests.Several(ctx, ids)
	if err != nil {
		return Request{}, err
	}
	if r, found := newest(id, known); found {
		return r, nil
	}
	cursor, err := s.Requests.Newest(ctx, findNewest)
	if err != nil {
		return Request{}, err
	}
	for range findReads {
		var page []Request
		if page, cursor, err = s.Requests.Page(ctx, cursor, pageRead); err != nil {
			return Request{}, err
		}
		if last, found := newest(id, page); found && (r.ID == "" || last.CreatedAt.After(r.CreatedAt)) {
			r = last
		}
		if cursor == "" {
			break
		}
	}
	if r.ID == "" {
		return Request{}, unknown
	}
	return r, nil
}

// newest returns the request that was created last of those of an execution or a client.
func newest(id string, requests []Request) (r Request, found bool) {
	for _, one := range requests {
		if (one.ExecutionID == id || one.ClientID == id) && (!found || one.CreatedAt.After(r.CreatedAt)) {
			r, found = one, true
		}
	}
	return r, found
}
