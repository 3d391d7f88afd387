package subscriptions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
)

// Times of a watch.
const (
	sourceRetry = 250 * time.Millisecond // before a source that broke is watched again, and twice as long each time
	storeRetry  = 250 * time.Millisecond
	sweepEvery  = 5 * time.Second
	// tombstoneLife is for how long a document that has gone is remembered: the frame log knows the ids of ten minutes.
	tombstoneLife = 15 * time.Minute
)

// maxBatch bounds how many changes are delivered together.
const maxBatch = 256

// document is what a watch knows of one. Data is kept for those who subscribe later.
type document struct {
	Known

	change Change
	goneAt time.Time
	// unsure is set when the owner before may have died before it had stored the last frames.
	unsure bool
}

// watch keeps the subscribers of one path up to date. Its fields belong to the goroutine of run, but for the queue.
type watch struct {
	*Service

	key      string
	resource authwire.Resource
	source   WatchSource

	docs    map[string]*document
	order   []string // documents in the order in which they were first told, for snapshots
	bytes   int      // of all documents
	live    int      // documents that are there
	sent    uint64   // last revision whose frames are stored
	ready   bool
	present map[string]bool      // documents that the source told since it was last begun; nil when that is complete
	subs    map[string]Record    // those that have the documents
	absent  map[string]time.Time // clients without a connection, since when
	stale   bool                 // the subscribers may not be those of the records
	tokens  float64
	filled  time.Time

	queue queue
	mail  chan []Record

	sweeping atomic.Bool
}

func newWatch(s *Service, key string, r authwire.Resource) *watch {
	return &watch{
		Service: s, key: key, resource: r, source: s.source(r.Source), docs: map[string]*document{},
		subs: map[string]Record{}, absent: map[string]time.Time{}, mail: make(chan []Record, 1),
		queue: queue{last: map[string]int{}, wake: make(chan struct{}, 1)},
	}
}

// tell hands over the records of the watch as they are now.
func (w *watch) tell(records []Record) {
	select {
	case <-w.mail: // older ones
	default:
	}
	w.mail <- records
}

// run is the life of the watch in this process: until nobody subscribes any more, or ctx ends.
func (w *watch) run(ctx context.Context) {
	if !w.load(ctx) {
		return
	}
	sctx, cancel := context.WithCancel(ctx)
	var source sync.WaitGroup
	defer source.Wait()
	defer cancel()
	defer func() { w.held.Add(-int64(w.bytes)) }()
	records := <-w.mail
	w.subscribe(ctx, records)
	if !w.send(ctx, w.removals()) {
		return
	}
	source.Go(func() { w.follow(sctx) })
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		var wait <-chan time.Time
		if d := w.pause(); d > 0 {
			wait = time.After(d)
		} else if !w.step(ctx) {
			return
		}
		if w.stale {
			w.subscribe(ctx, records)
		}
		if len(records) == 0 && w.Documents.Clear(ctx, w.key) == nil || ctx.Err() != nil {
			return
		}
		if wait == nil && w.queue.len() > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case records = <-w.mail:
			w.stale = true
		case <-w.queue.wake:
		case <-wait:
		case <-sweep.C:
			w.stale = true // what could not be done is tried again
			w.forgetGone(ctx)
			if w.sweeping.CompareAndSwap(false, true) {
				source.Go(func() {
					defer w.sweeping.Store(false)
					w.sweep(ctx)
				})
			}
		}
	}
}

// load reads what the owner before knew.
func (w *watch) load(ctx context.Context) bool {
	for {
		known, sent, err := w.Documents.Load(ctx, w.key)
		if err == nil {
			now := time.Now()
			for _, k := range known {
				w.docs[k.DocID] = &document{Known: k, goneAt: now, unsure: k.Revision > sent}
				w.order = append(w.order, k.DocID)
				w.sent = max(w.sent, k.Revision)
				if !k.Gone {
					w.live++
				}
			}
			return true
		}
		if !sleep(ctx, storeRetry) {
			return false
		}
	}
}

// removals returns the removals that the owner before may not have sent. Their frames need nothing of the source.
func (w *watch) removals() *Batch {
	batch := w.batch()
	for _, id := range w.order {
		if d := w.docs[id]; d.Gone && d.unsure {
			batch.again(d, item{Change: Change{Op: Remove, DocID: id}, seen: time.Now()})
		}
	}
	return batch
}

// follow watches the source, again and again.
func (w *watch) follow(ctx context.Context) {
	if w.source == nil {
		w.queue.fail(frame.EndedSourceGone)
		return
	}
	source := w.Outages.Of("subscription_source_"+w.source.Name(), "", "nats", "firestore_listener")
	defer source.Note(ctx, w.key, nil) // nobody watches it any more
	wait := outage.Backoff{First: sourceRetry}
	for {
		begin := time.Now()
		w.queue.begin()
		err := w.source.Watch(ctx, w.resource.Path, func(c Change) {
			if c.Op == Ready {
				source.Note(ctx, w.key, nil)
			}
			w.queue.put(c, w.Limits, w.merged)
		})
		if ctx.Err() != nil {
			return
		}
		if reason := final(err); reason != "" {
			w.queue.fail(reason)
			return
		}
		w.Meter.Restarted(w.source.Name())
		source.Note(ctx, w.key, err)
		if time.Since(begin) > outage.Most {
			wait.Reset()
		}
		if !wait.Wait(ctx, nil) {
			return
		}
	}
}

// final returns the reason why a watch cannot go on, "" for an outage.
func final(err error) string {
	switch kind, _ := fault.KindOf(err); kind {
	case fault.Denied:
		return frame.EndedDenied
	case fault.NotFound:
		return frame.EndedNotFound
	case fault.TooLarge:
		return frame.EndedTooLarge
	default:
		return ""
	}
}

func (w *watch) merged() { w.Meter.Changed(w.resource.Source, Merged, 1) }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// pause returns how long to wait before the next change may be delivered: nothing before all documents are known, and
// then as the limit says.
func (w *watch) pause() time.Duration {
	now := time.Now()
	rate := float64(w.Limits.Changes)
	if !w.limited() {
		w.tokens, w.filled = rate, now
		return 0
	}
	w.tokens, w.filled = min(rate, w.tokens+now.Sub(w.filled).Seconds()*rate), now
	if w.tokens >= 1 || w.queue.len() == 0 {
		return 0
	}
	return time.Duration((1 - w.tokens) / rate * float64(time.Second))
}

// limited reports whether changes come one by one. While a source tells what it has, most of it is known.
func (w *watch) limited() bool { return w.ready && w.present == nil }

// sum names the content of a document.
func sum(c Change) string {
	h := sha256.Sum256(c.Data)
	return hex.EncodeToString(h[:12])
}

// step delivers what waits, as far as the limit allows. It returns false when the watch is another replica's now.
func (w *watch) step(ctx context.Context) bool {
	most := maxBatch
	if w.limited() {
		most = min(most, int(w.tokens))
	}
	items, failed := w.queue.take(most)
	if failed != "" {
		for _, r := range w.known.of(w.known.byWatch[partitionOf(w.key)], w.key) {
			w.endSoon(ctx, r, failed)
		}
		return true
	}
	batch := w.batch()
	for _, it := range items {
		switch it.Op {
		case Ready:
			if !w.send(ctx, batch) || !w.send(ctx, w.missing()) {
				return false
			}
			batch, w.ready, w.present = w.batch(), true, nil
			w.stale = true
		case begun:
			w.present = map[string]bool{}
		default:
			if w.present != nil {
				w.present[it.DocID] = it.Op == Put
			}
			batch.add(w, it)
		}
	}
	return w.send(ctx, batch)
}

// forgetGone forgets documents that have gone long ago.
func (w *watch) forgetGone(ctx context.Context) {
	now := time.Now()
	var old []string
	for id, d := range w.docs {
		if d.Gone && now.Sub(d.goneAt) > tombstoneLife {
			old = append(old, id)
		}
	}
	if len(old) == 0 || w.Documents.Forget(ctx, w.key, old) != nil {
		return
	}
	for _, id := range old {
		delete(w.docs, id)
	}
	w.order = slices.DeleteFunc(w.order, func(id string) bool { return w.docs[id] == nil })
}

// missing returns the removals of documents that the source no longer tells.
func (w *watch) missing() *Batch {
	batch := w.batch()
	if !w.source.Complete() || w.present == nil {
		return batch
	}
	for _, id := range w.order {
		if d := w.docs[id]; d != nil && !d.Gone && !w.present[id] {
			batch.add(w, item{Change: Change{Op: Remove, DocID: id}, seen: time.Now()})
		}
	}
	return batch
}
