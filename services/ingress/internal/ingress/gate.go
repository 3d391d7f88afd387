package ingress

import (
	"context"
	"sync"
)

// gate bounds what is dispatched concurrently, by number and by bytes, and shares that among listeners: who waits gets
// a turn with the others' listeners in turn, however many deliveries of one listener wait. It is safe for concurrent use.
type gate struct {
	mu    sync.Mutex
	slots int
	bytes int64
	most  int64
	order []string // listeners with waiters, the next one first
	queue map[string][]*turn
}

type turn struct {
	bytes int64
	given chan struct{}
}

func newGate(slots int, bytes int64) *gate {
	return &gate{slots: slots, bytes: bytes, most: bytes, queue: map[string][]*turn{}}
}

// enter waits for a turn of a listener; leave must be called with the same size after it.
func (g *gate) enter(ctx context.Context, listener string, size int64) error {
	size = min(size, g.most) // a large one goes alone
	g.mu.Lock()
	if len(g.order) == 0 && g.slots > 0 && g.bytes >= size {
		g.slots--
		g.bytes -= size
		g.mu.Unlock()
		return nil
	}
	t := &turn{bytes: size, given: make(chan struct{})}
	if len(g.queue[listener]) == 0 {
		g.order = append(g.order, listener)
	}
	g.queue[listener] = append(g.queue[listener], t)
	g.mu.Unlock()
	select {
	case <-t.given:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-t.given: // just now
		g.slots++
		g.bytes += size
	default:
		g.drop(listener, t)
	}
	g.give()
	return ctx.Err()
}

func (g *gate) leave(size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slots++
	g.bytes += min(size, g.most)
	g.give()
}

// give lets in whoever is next, as far as there is room. It needs the lock.
func (g *gate) give() {
	for len(g.order) > 0 && g.slots > 0 {
		listener := g.order[0]
		next := g.queue[listener][0]
		if next.bytes > g.bytes {
			return // or a large one would never have its turn
		}
		g.slots--
		g.bytes -= next.bytes
		close(next.given)
		g.order = g.order[1:]
		if rest := g.queue[listener][1:]; len(rest) > 0 {
			g.queue[listener] = rest
			g.order = append(g.order, listener)
		} else {
			delete(g.queue, listener)
		}
	}
}

// drop removes a waiter. It needs the lock.
func (g *gate) drop(listener string, t *turn) {
	var rest []*turn
	for _, other := range g.queue[listener] {
		if other != t {
			rest = append(rest, other)
		}
	}
	if len(rest) > 0 {
		g.queue[listener] = rest
		return
	}
	delete(g.queue, listener)
	for i, name := range g.order {
		if name == listener {
			g.order = append(g.order[:i:i], g.order[i+1:]...)
			return
		}
	}
}
