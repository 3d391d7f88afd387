package subscriptions

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
)

// Batch is what is delivered together: changes of different documents.
type Batch struct {
	watch *watch
	steps []step
	saved bool // the documents are noted
}

// Describe is what traces show of it.
func (b *Batch) Describe() []string {
	return []string{
		"noetl.subscription.source", b.watch.resource.Source,
		"noetl.subscription.changes", strconv.Itoa(len(b.steps)),
		"noetl.subscription.subscribers", strconv.Itoa(len(b.watch.subs)),
	}
}

// step is a change as subscribers see it.
type step struct {
	item  item
	known Known // as it is afterwards
	again bool  // the owner before has noted it
}

func (w *watch) batch() *Batch { return &Batch{watch: w} }

// add adds what a change means for those who know the documents, which may be nothing.
func (b *Batch) add(w *watch, it item) {
	d := w.docs[it.DocID]
	s := step{item: it, known: Known{DocID: it.DocID, Version: it.Version, Gone: it.Op == Remove}}
	if d != nil {
		s.known.Revision, s.known.Before = d.Revision, d.Revision
	}
	there := d != nil && !d.Gone
	if d != nil && s.known.Gone {
		s.known.Version = d.Version // what comes back is newer
	}
	switch {
	case it.Op == Put && d != nil && older(it.Version, d.Version): // a source that begins again may tell the past first
		w.Meter.Changed(w.resource.Source, Same, 1)
		return
	case it.Op == Remove && !there:
		return
	case it.Op == Remove:
		s.known.Op = frame.OpRemoved
	default:
		s.known.Sum = sum(it.Change)
		if s.known.Op = frame.OpAdded; there {
			if s.known.Op = frame.OpModified; d.unsure {
				s.known.Op = d.Op // whether it was told of as added is not known
			}
			same := d.Version == it.Version && (it.Version != "" || d.Sum == s.known.Sum)
			switch {
			case same && d.unsure:
				b.again(d, it)
				return
			case same:
				w.keep(d, it.Change) // the owner before had it, and this one needs its data
				w.Meter.Changed(w.resource.Source, Same, 1)
				return
			}
		}
	}
	b.steps = append(b.steps, s)
}

// older reports whether a version is a time before another one.
func older(version, than string) bool {
	a, err1 := time.Parse(time.RFC3339Nano, version)
	b, err2 := time.Parse(time.RFC3339Nano, than)
	return err1 == nil && err2 == nil && a.Before(b)
}

// again adds the last change that the owner before noted of a document. Its frames have the same ids.
func (b *Batch) again(d *document, it item) {
	b.steps = append(b.steps, step{item: it, known: d.Known, again: true})
}

// keep notes the content of a document.
func (w *watch) keep(d *document, c Change) {
	more := len(c.Data) - len(d.change.Data)
	w.bytes += more
	d.change = c
	if all := w.held.Add(int64(more)); more > 0 && (w.bytes > w.Limits.Bytes || all > w.Limits.AllBytes) {
		w.queue.fail(frame.EndedTooLarge)
	}
}

// send delivers a batch. It returns false when ctx ends or the watch is another replica's.
func (w *watch) send(ctx context.Context, b *Batch) bool {
	if len(b.steps) == 0 {
		return true
	}
	if w.limited() {
		w.tokens -= float64(len(b.steps))
	}
	for {
		_, err := w.deliver(ctx, b)
		if err == nil {
			return true
		}
		if kind, _ := fault.KindOf(err); kind == fault.Conflict {
			w.Logger.InfoContext(ctx, "another replica owns a watch", "source", w.resource.Source)
			return false
		}
		if !sleep(ctx, storeRetry) {
			return false
		}
	}
}

// store notes what the documents become, and then stores the frames. Whoever finds the watch owned by another replica
// has sent nothing; after a crash between the two the next owner stores the frames, and those that are there already
// are known to the frame log by their ids.
func (s *Service) store(ctx context.Context, b *Batch) (struct{}, error) {
	w := b.watch
	if !b.saved {
		if err := b.save(ctx, s.Documents); err != nil {
			return struct{}{}, err
		}
		b.saved = true
	}
	out := w.mailing(ctx)
	clients := slices.Collect(maps.Values(w.subs))
	for _, st := range b.steps {
		out.add(clients, st.known, st.item.Change, strconv.FormatUint(st.known.Before, 10))
	}
	if err := out.flush(); err != nil {
		return struct{}{}, err
	}
	for _, st := range b.steps {
		w.apply(st)
		w.sent = max(w.sent, st.known.Revision)
		s.Meter.Stored(w.resource.Source, time.Since(st.item.seen))
	}
	if w.ready { // before, changes of the owner before may still have to be sent
		s.Documents.Sent(w.key, w.sent)
	}
	s.Meter.Changed(w.resource.Source, Sent, len(b.steps))
	return struct{}{}, nil
}

// save notes the documents of the steps, but those that are noted.
func (b *Batch) save(ctx context.Context, store Documents) error {
	var known []Known
	var at []int
	for i, st := range b.steps {
		if !st.again {
			known, at = append(known, st.known), append(at, i)
		}
	}
	if len(known) == 0 {
		return nil
	}
	revisions, err := store.Save(ctx, b.watch.key, known)
	if err != nil {
		return err
	}
	for i, revision := range revisions {
		b.steps[at[i]].known.Revision = revision
	}
	return nil
}

// apply notes what a step made of a document.
func (w *watch) apply(st step) {
	d := w.docs[st.known.DocID]
	if d == nil {
		d = &document{}
		w.docs[st.known.DocID] = d
	}
	switch was := d.DocID != "" && !d.Gone; {
	case was && st.known.Gone:
		w.live--
	case !was && !st.known.Gone:
		w.live++
	}
	if w.live > w.Limits.Documents {
		w.queue.fail(frame.EndedTooLarge)
	}
	if d.DocID == "" || d.Gone { // it is told after those that were there
		w.order = append(slices.DeleteFunc(w.order, func(id string) bool { return d.Gone && id == st.known.DocID }),
			st.known.DocID)
	}
	d.Known, d.unsure = st.known, false
	w.keep(d, st.item.Change)
	if d.Gone {
		d.goneAt = time.Now()
		w.keep(d, Change{})
	}
}
