package auth

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// flights ask a question once for all who ask it at the same time. A flight outlives the caller
// that started it, because the others still want its answer; it ends with the last of them, so
// that an execution that nobody waits for is canceled.
type flights[T any] struct {
	budget time.Duration

	mu    sync.Mutex
	under map[string]*flight[T]
}

type flight[T any] struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when the rest is set
	value   T
	err     error
}

func newFlights[T any](budget time.Duration) *flights[T] {
	return &flights[T]{budget: budget, under: map[string]*flight[T]{}}
}

// do returns the answer of ask, or ctx's error.
func (g *flights[T]) do(ctx context.Context, key string, ask func(context.Context) (T, error)) (T, error) {
	g.mu.Lock()
	f, ok := g.under[key]
	if !ok {
		//nolint:gosec // cancel is called when it has run, or when nobody waits
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.budget)
		f = &flight[T]{cancel: cancel, done: make(chan struct{})}
		g.under[key] = f
		go g.run(fctx, key, f, ask)
	}
	f.waiting++
	g.mu.Unlock()
	defer g.leave(key, f)
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case <-f.done:
		return f.value, f.err
	}
}

func (g *flights[T]) run(ctx context.Context, key string, f *flight[T], ask func(context.Context) (T, error)) {
	defer func() {
		if p := recover(); p != nil { // in a goroutine of its own it would end the process
			f.err = fmt.Errorf("panic: %v", p)
		}
		g.forget(key, f)
		f.cancel()
		close(f.done)
	}()
	f.value, f.err = ask(ctx)
}

// leave cancels a flight that nobody waits for any more; the next to ask starts another.
func (g *flights[T]) leave(key string, f *flight[T]) {
	g.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && g.under[key] == f {
		delete(g.under, key)
	}
	g.mu.Unlock()
	if last {
		f.cancel()
	}
}

func (g *flights[T]) forget(key string, f *flight[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under[key] == f {
		delete(g.under, key)
	}
}
