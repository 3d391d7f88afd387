package fanout

import (
	"context"
	"sync"
)

// What ended requests leave in the index of their client goes in bunches: one at a time would cost every result a
// write. Their clients are told nothing of them, because what is listed is read.
const (
	// sweepAfter is how many requests of a client end in this process before its entries are swept.
	sweepAfter = 64
	// maxEnding bounds for how many clients that is counted. The entries of the others age out.
	maxEnding = 20_000
)

// ended counts the requests that have ended, by client. It is safe for concurrent use.
type ended struct {
	mu     sync.Mutex
	counts map[string]int
	due    map[string]bool // clients to sweep
}

// note counts a request that has ended.
func (e *ended) note(client string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil || len(e.counts) >= maxEnding {
		e.counts = make(map[string]int)
	}
	if e.counts[client]++; e.counts[client] >= sweepAfter {
		delete(e.counts, client)
		e.sweep(client)
	}
}

// sweepSoon has a client swept.
func (e *ended) sweepSoon(client string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(client)
}

func (e *ended) sweep(client string) {
	if e.due == nil {
		e.due = make(map[string]bool)
	}
	if len(e.due) < maxEnding {
		e.due[client] = true
	}
}

// take returns the clients to sweep.
func (e *ended) take() map[string]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	due := e.due
	e.due = nil
	return due
}

// entries is what the index of a client holds.
type entries struct {
	list []PendingRequest
	// known are the requests of the client among them. One that is not known may be too new for the copy that
	// answered, so nothing is concluded from that.
	known map[string]Request
}

// entries reads the index of a client, and the requests that it lists.
func (s *Service) entries(ctx context.Context, client string) (entries, error) {
	list, err := s.Pending.List(ctx, client)
	if err != nil {
		return entries{}, err
	}
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = e.RequestID
	}
	requests, err := s.Requests.Several(ctx, ids)
	if err != nil {
		return entries{}, err
	}
	known := make(map[string]Request, len(requests))
	for _, r := range requests {
		if r.ClientID == client {
			known[r.ID] = r
		}
	}
	return entries{list, known}, nil
}

// waiting returns the requests that wait, oldest first.
func (e entries) waiting() []Request {
	var waiting []Request
	for _, p := range e.list {
		if r, known := e.known[p.RequestID]; known && r.Pending() {
			waiting = append(waiting, r)
		}
	}
	return waiting
}

// over reports whether an entry is of a request that has ended.
func (e entries) over(p PendingRequest) bool {
	r, known := e.known[p.RequestID]
	return known && !r.Pending()
}

// sweep removes the entries of ended requests from the index of a client: the oldest in one write, those behind one
// that waits each for itself.
func (s *Service) sweep(ctx context.Context, client string) error {
	e, err := s.entries(ctx, client)
	if err != nil {
		return err
	}
	first := 0
	for first < len(e.list) && e.over(e.list[first]) {
		first++
	}
	if first > 0 {
		if err := s.Pending.DeleteThrough(ctx, client, e.list[first-1].Revision); err != nil {
			return err
		}
	}
	for _, p := range e.list[first:] {
		if !e.over(p) {
			continue
		}
		if err := s.Pending.Delete(ctx, client, p.RequestID); err != nil {
			return err
		}
	}
	return nil
}
