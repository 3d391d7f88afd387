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
	// maxEnding bounds how many of them are remembered in all. The entries of the others age out.
	maxEnding = 100_000
)

// ended remembers the requests that have ended in this process, by client. It is safe for concurrent use.
type ended struct {
	mu       sync.Mutex
	count    int
	byClient map[string][]string
	due      map[string][]string // those of the clients to sweep
}

// note remembers a request that has ended.
func (e *ended) note(client, request string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byClient == nil || e.count >= maxEnding {
		e.count, e.byClient = 0, make(map[string][]string)
	}
	e.count++
	e.byClient[client] = append(e.byClient[client], request)
	if len(e.byClient[client]) >= sweepAfter {
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
		e.due = make(map[string][]string)
	}
	e.due[client] = append(e.due[client], e.byClient[client]...)
	e.count -= len(e.byClient[client])
	delete(e.byClient, client)
}

// take returns the clients to sweep, and which of their requests have ended in this process.
func (e *ended) take() map[string][]string {
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
	ended map[string]bool // requests that have ended for sure
}

// read reads the requests that are listed for a client, but for those that have ended for sure.
func (s *Service) read(ctx context.Context, client string, list []PendingRequest, sure []string) (entries, error) {
	ended := make(map[string]bool, len(sure))
	for _, id := range sure {
		ended[id] = true
	}
	var ids []string
	for _, e := range list {
		if !ended[e.RequestID] {
			ids = append(ids, e.RequestID)
		}
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
	return entries{list, known, ended}, nil
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
	return e.ended[p.RequestID] || known && !r.Pending()
}

// sweep removes the entries of ended requests from the index of a client: the oldest in one write, those behind one
// that waits each for itself.
func (s *Service) sweep(ctx context.Context, client string, ended []string) error {
	list, err := s.Pending.List(ctx, client)
	if err != nil {
		return err
	}
	e, err := s.read(ctx, client, list, ended)
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
