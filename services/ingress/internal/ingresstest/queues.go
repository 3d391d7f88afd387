package ingresstest

import (
	"context"
	"time"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Pull implements the port.
func (b *Inbox) Pull(
	ctx context.Context, q ingress.Queue, n int, patience time.Duration, take func(context.Context, ingress.Work),
) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for n > 0 {
		b.mu.Lock()
		if err := b.broken("Pull"); err != nil {
			b.mu.Unlock()
			return err
		}
		next, at := b.next(q)
		changed := b.changed
		var w ingress.Work
		if next != nil {
			w = b.work(next)
		}
		b.mu.Unlock()
		if next != nil {
			n--
			take(context.WithoutCancel(ctx), w)
			continue
		}
		timer := time.NewTimer(at)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// next returns what can be handed out, or how long that takes at least. It needs the lock.
func (b *Inbox) next(q ingress.Queue) (*item, time.Duration) {
	soon := time.Hour
	for _, i := range b.stored {
		if i.done || i.delivery.Listener != q.Listener || i.delivery.Partition != q.Partition {
			continue
		}
		left := time.Until(i.after)
		if left <= 0 {
			return i, 0
		}
		soon = min(soon, left)
		if q.Partition != ingress.Unordered {
			break
		}
	}
	return nil, soon
}

// Oldest implements the port.
func (b *Inbox) Oldest(_ context.Context, q ingress.Queue) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.stored {
		if !i.done && i.delivery.Listener == q.Listener && i.delivery.Partition == q.Partition {
			return i.delivery.ReceivedAt, b.broken("Oldest")
		}
	}
	return time.Time{}, b.broken("Oldest")
}

type lease struct {
	inbox *Inbox
	item  *item
}

// Hold implements the port.
func (l *lease) Hold() { l.Retry(ingress.LeaseTime) }

// Done implements the port.
func (l *lease) Done() {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.item.done = true
	l.inbox.tell()
}

// Retry implements the port.
func (l *lease) Retry(after time.Duration) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.item.after = time.Now().Add(after)
	l.inbox.tell()
}
