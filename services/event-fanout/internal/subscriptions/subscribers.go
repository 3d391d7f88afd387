package subscriptions

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// subscribe brings the subscribers in line with the records: those that are new get the documents, those that have
// ended are told.
func (w *watch) subscribe(ctx context.Context, records []Record) {
	w.stale = false
	there := make(map[string]bool, len(records))
	for _, r := range records {
		if r.Ended != "" {
			w.finish(ctx, r)
			continue
		}
		there[r.ID] = true
		_, served := w.subs[r.ID]
		switch {
		case served:
		case r.Started:
			w.subs[r.ID] = r
		case w.ready:
			w.start(ctx, r)
		}
	}
	maps.DeleteFunc(w.subs, func(id string, _ Record) bool { return !there[id] })
}

// start sends the documents that there are, and notes that.
func (w *watch) start(ctx context.Context, r Record) {
	out := w.mailing(ctx)
	for _, id := range w.order {
		if d := w.docs[id]; d != nil && !d.Gone {
			known := d.Known
			known.Op = frame.OpAdded
			out.add([]Record{r}, known, d.change, "first")
		}
	}
	if out.flush() != nil {
		return
	}
	r.Started = true
	revision, err := w.Records.Put(ctx, r)
	if err != nil {
		return // somebody else changed it, or NATS is unavailable: the record is told again, or looked at in a while
	}
	r.Revision = revision
	w.subs[r.ID] = r
	w.known.put(r)
}

// finish tells a client that its subscription has ended, and forgets it.
func (w *watch) finish(ctx context.Context, r Record) {
	delete(w.subs, r.ID)
	if _, known := w.known.get(r.ID); !known {
		return // it was finished before
	}
	err := w.Frames.Append(ctx, r.ClientID, fanout.NewFrame{
		Event: frame.MethodEnded, DedupID: "sub:" + r.ID + ":ended",
		Body: frame.Notify(frame.MethodEnded, frame.SubscriptionEndedParams{SubscriptionID: r.ID, Reason: r.Ended}),
	})
	if err != nil || w.Records.Delete(ctx, r.ID) != nil {
		return
	}
	w.Meter.Ended(r.Ended)
	w.known.forget(r.ID)
}

// sweep ends subscriptions whose session has expired, and those of clients that have no connection.
func (w *watch) sweep(ctx context.Context) {
	clients := map[string]bool{}
	now := time.Now()
	for _, r := range w.known.of(w.known.byWatch[partitionOf(w.key)], w.key) {
		present, asked := clients[r.ClientID]
		if !asked {
			var err error
			if present, err = w.Connections.Present(ctx, r.ClientID); err != nil {
				present = true // nobody can tell
			}
			clients[r.ClientID] = present
		}
		since, was := w.absent[r.ClientID]
		switch {
		case present:
			delete(w.absent, r.ClientID)
		case !was:
			w.absent[r.ClientID] = now
		}
		switch {
		case now.After(r.ExpiresAt):
			w.endSoon(ctx, r, frame.EndedSession)
		case !present && was && now.Sub(since) >= w.Absence:
			w.endSoon(ctx, r, frame.EndedExpired)
		}
	}
	maps.DeleteFunc(w.absent, func(client string, _ time.Time) bool { _, asked := clients[client]; return !asked })
	w.known.poke(partitionOf(w.key)) // what could not be stored is tried again
}

// rechecks bounds how many rights are asked for concurrently.
const rechecks = 16

// recheck asks again whether the clients that are connected here may watch what they watch.
func (s *Service) recheck(ctx context.Context) {
	if s.Recheck <= 0 {
		return
	}
	due := map[string]time.Time{}
	tick := time.NewTicker(max(s.Recheck/10, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		slots := make(chan struct{}, rechecks)
		var asking sync.WaitGroup
		seen := map[string]bool{}
		for _, r := range s.known.connected(func(c string) bool { _, here := s.Connections.Token(c); return here }) {
			seen[r.ID] = true
			next, known := due[r.ID]
			if !known {
				next = r.CreatedAt.Add(s.Recheck)
			}
			if due[r.ID] = next; now.Before(next) || r.Ended != "" {
				continue
			}
			due[r.ID] = now.Add(s.Recheck)
			slots <- struct{}{}
			asking.Go(func() { s.askAgain(ctx, r); <-slots })
		}
		asking.Wait()
		maps.DeleteFunc(due, func(id string, _ time.Time) bool { return !seen[id] })
	}
}

// askAgain asks for one right, and ends the subscription that has lost it. An outage ends nothing.
func (s *Service) askAgain(ctx context.Context, r Record) {
	token, here := s.Connections.Token(r.ClientID)
	if !here {
		return
	}
	err := s.may(ctx, token, r.Resource)
	switch kind, _ := fault.KindOf(err); {
	case err == nil:
	case kind == fault.Denied:
		s.endSoon(ctx, r, frame.EndedDenied)
	case kind == fault.NotFound:
		s.endSoon(ctx, r, frame.EndedNotFound)
	case kind == fault.Unauthenticated:
		s.endSoon(ctx, r, frame.EndedSession)
	}
}
