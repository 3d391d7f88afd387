package ingresstest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

var (
	_ ingress.Inbox      = (*Inbox)(nil)
	_ ingress.Records    = (*Inbox)(nil)
	_ ingress.Queues     = (*Inbox)(nil)
	_ ingress.Controls   = (*Inbox)(nil)
	_ ingress.Announcer  = (*Inbox)(nil)
	_ ingress.Rejections = (*Inbox)(nil)
)

// Inbox keeps all of the inbox in memory. The zero value is not usable; see [NewInbox].
type Inbox struct {
	mu       sync.Mutex
	sequence uint64
	stored   []*item
	claims   map[string]*item // by listener and key, the last one
	records  map[string]ingress.Record
	control  map[string]ingress.Control
	versions map[string][]byte
	kept     []ingress.Rejection
	changed  chan struct{} // closed at the next change
	fail     error
	failing  map[string]error
	handle   func(context.Context, ingress.Work)
}

// item is a delivery or a redrive that is queued.
type item struct {
	delivery ingress.Delivery
	key      string
	redrive  *ingress.Redrive
	handed   int
	after    time.Time // it is not handed out before
	done     bool
}

// NewInbox makes an empty one.
func NewInbox() *Inbox {
	return &Inbox{
		claims: map[string]*item{}, records: map[string]ingress.Record{}, control: map[string]ingress.Control{},
		versions: map[string][]byte{}, changed: make(chan struct{}), failing: map[string]error{},
	}
}

// HandleWith makes what is stored be handed to handle immediately, in a goroutine of its own, instead of being pulled.
func (b *Inbox) HandleWith(handle func(context.Context, ingress.Work)) { b.handle = handle }

// Fail makes every call return err, until it is nil.
func (b *Inbox) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

// FailOnly makes the calls of one method return err, until it is nil.
func (b *Inbox) FailOnly(method string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing[method] = err
}

func (b *Inbox) broken(method string) error { return cmp.Or(b.fail, b.failing[method]) }

func (b *Inbox) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// put queues an item. It needs the lock.
func (b *Inbox) put(ctx context.Context, i *item) {
	b.stored = append(b.stored, i)
	b.tell()
	if b.handle != nil {
		go b.handle(context.WithoutCancel(ctx), b.work(i))
	}
}

// work leases an item. It needs the lock.
func (b *Inbox) work(i *item) ingress.Work {
	i.handed++
	i.after = time.Now().Add(ingress.LeaseTime)
	d := i.delivery
	d.Body = slices.Clone(d.Body)
	return ingress.Work{Delivery: d, Redrive: i.redrive, Fresh: i.handed == 1, Lease: &lease{b, i}}
}

// Store implements the port.
func (b *Inbox) Store(
	ctx context.Context, d *ingress.Delivery, key string, window time.Duration,
) (*ingress.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.broken("Store"); err != nil {
		return nil, err
	}
	d.ID = key
	if held := b.claims[d.Listener+" "+key]; held != nil {
		if time.Since(held.delivery.ReceivedAt) < window {
			first := held.delivery
			first.Body = nil
			return &first, nil
		}
		d.ID = ingress.LaterKey(key, held.delivery.Sequence)
	}
	b.sequence++
	d.Sequence = b.sequence
	i := &item{delivery: *d, key: key}
	i.delivery.Body = slices.Clone(d.Body)
	b.claims[d.Listener+" "+key] = i
	b.put(ctx, i)
	return nil, nil
}

// Load implements the port.
func (b *Inbox) Load(_ context.Context, sequence uint64) (ingress.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.broken("Load"); err != nil {
		return ingress.Delivery{}, err
	}
	for _, i := range b.stored {
		if i.redrive == nil && i.delivery.Sequence == sequence {
			return i.delivery, nil
		}
	}
	return ingress.Delivery{}, fault.New(fault.NotFound, "delivery_gone", "gone")
}

// Lookup implements the port.
func (b *Inbox) Lookup(_ context.Context, id string) (ingress.Delivery, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.stored {
		if i.redrive == nil && i.delivery.ID == id && i.key == id {
			d := i.delivery
			d.Body = nil
			return d, true, b.broken("Lookup")
		}
	}
	return ingress.Delivery{}, false, b.broken("Lookup")
}

// Body implements the port.
func (b *Inbox) Body(ctx context.Context, d ingress.Delivery) ([]byte, error) {
	found, err := b.Load(ctx, d.Sequence)
	return found.Body, err
}

// Again implements the port.
func (b *Inbox) Again(ctx context.Context, r ingress.Redrive) error {
	d, err := b.Load(ctx, r.Sequence)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(ctx, &item{delivery: d, redrive: &r})
	return nil
}

// Record implements the port.
func (b *Inbox) Record(_ context.Context, r ingress.Record) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.broken("Record"); err != nil {
		return 0, err
	}
	key := r.Listener + " " + r.ID
	if b.records[key].Revision != r.Revision {
		return 0, ingress.RecordMoved()
	}
	b.sequence++
	r.Revision = b.sequence
	b.records[key] = r
	return r.Revision, nil
}

// Recall implements the port.
func (b *Inbox) Recall(_ context.Context, listener, id string) (ingress.Record, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.records[listener+" "+id]
	return r, ok, b.broken("Recall")
}

// Find implements the port.
func (b *Inbox) Find(_ context.Context, id string) (ingress.Record, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		if r.ID == id {
			return r, true, b.broken("Find")
		}
	}
	return ingress.Record{}, false, b.broken("Find")
}

// List implements the port.
func (b *Inbox) List(_ context.Context, q ingress.Query) (ingress.Page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.broken("List"); err != nil {
		return ingress.Page{}, err
	}
	before := ^uint64(0)
	if q.Cursor != "" {
		var err error
		if before, err = strconv.ParseUint(q.Cursor, 10, 64); err != nil {
			return ingress.Page{}, fault.New(fault.Invalid, "bad_cursor", "the cursor is not one of ours")
		}
	}
	all := slices.Collect(maps.Values(b.records))
	for _, r := range b.kept {
		all = append(all, r.Record)
	}
	all = slices.DeleteFunc(all, func(r ingress.Record) bool {
		return r.Revision >= before || q.Listener != "" && q.Listener != r.Listener ||
			q.State != "" && q.State != r.State
	})
	slices.SortFunc(all, func(x, y ingress.Record) int { return cmp.Compare(y.Revision, x.Revision) })
	if len(all) <= q.Limit {
		return ingress.Page{Records: all}, nil
	}
	return ingress.Page{Records: all[:q.Limit], Next: strconv.FormatUint(all[q.Limit-1].Revision, 10)}, nil
}

// Count implements the port.
func (b *Inbox) Count(_ context.Context, listener string, state ingresswire.State) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := int64(0)
	for _, r := range b.records {
		if r.Listener == listener && r.State == state {
			n++
		}
	}
	for _, r := range b.kept {
		if r.Listener == listener && r.State == state {
			n++
		}
	}
	return n, b.broken("Count")
}

// Outcome implements the port.
func (b *Inbox) Outcome(string, ingress.Outcome) {}

// Changed implements the port.
func (b *Inbox) Changed(ingress.Record) {}

// Keep implements the port.
func (b *Inbox) Keep(r ingress.Rejection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sequence++
	r.Revision = b.sequence
	b.kept = append(b.kept, r)
}

// Kept implements the port.
func (b *Inbox) Kept(_ context.Context, id string) (ingress.Rejection, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.kept {
		if r.ID == id {
			return r, true, b.broken("Kept")
		}
	}
	return ingress.Rejection{}, false, b.broken("Kept")
}

// Rejected returns what was kept, in order.
func (b *Inbox) Rejected() []ingress.Rejection {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kept)
}
