package sidecar

import (
	"sync"
	"sync/atomic"

	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// Bounds of what waits to be taken, per watch and for all of them.
const (
	maxQueued      = 1024
	maxQueuedBytes = 8 << 20
	maxAllBytes    = 64 << 20
	takeMost       = 128
)

// change is a change with what it costs, and whether it comes after the first documents.
type change struct {
	subscriptions.Change
	size  int
	later bool
}

// watch is one id of the program's: what was told and not yet taken.
type watch struct {
	id   string
	wake chan struct{}
	all  *atomic.Int64 // bytes that wait in all watches of the program

	mu    sync.Mutex
	queue []change
	size  int
	err   error
	heard bool
}

func newWatch(id string, all *atomic.Int64) *watch {
	return &watch{id: id, wake: make(chan struct{}, 1), all: all}
}

// put takes a change if there is room, and reports whether it did. One change always fits.
func (w *watch) put(c change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return true // nobody will take it
	}
	if len(w.queue) > 0 && (len(w.queue) >= maxQueued || w.size+c.size > maxQueuedBytes) {
		return false
	}
	w.queue, w.size, w.heard = append(w.queue, c), w.size+c.size, true
	w.all.Add(int64(c.size))
	w.signal()
	return true
}

// fail ends the watch with what was told before. drop also forgets that: the caller asks again anyway.
func (w *watch) fail(err error, drop bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	if drop {
		w.all.Add(-int64(w.size))
		w.queue, w.size = nil, 0
	}
	w.signal()
}

func (w *watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns the next changes, and the end behind the last of them.
func (w *watch) take() ([]change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), takeMost)
	out := w.queue[:n:n]
	w.queue = w.queue[n:]
	for _, c := range out {
		w.size -= c.size
		w.all.Add(-int64(c.size))
	}
	if len(w.queue) > 0 {
		w.signal()
		return out, nil
	}
	w.queue = nil
	return out, w.err
}

// pending reports whether something waits to be taken.
func (w *watch) pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) > 0 || w.err != nil
}

func (w *watch) bytes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

func (w *watch) wasHeard() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard
}
