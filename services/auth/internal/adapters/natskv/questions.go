package natskv

import (
	"context"
	"sync"
)

// questions gathers what is asked while an earlier read is under way, and asks it all with the next: under load a
// read serves many. A question is always part of a read that begins after it, so the answer is not older than it.
type questions struct {
	read func(ctx context.Context, keys []string) (bool, error)

	mu      sync.Mutex
	waiting []*question
	reading bool
}

// question is whether there is none of the keys.
type question struct {
	keys []string
	done chan struct{} // closed when the rest is set
	none bool
	err  error
}

// maxKeys bounds the keys of one read; the server takes 1,024.
const maxKeys = 512

// none reports whether there is none of the keys. It may report false for what was asked with others.
func (q *questions) none(ctx context.Context, keys []string) (bool, error) {
	mine := &question{keys: keys, done: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, mine)
	begin := !q.reading
	q.reading = true
	q.mu.Unlock()
	if begin {
		go q.run(context.WithoutCancel(ctx)) // others wait for it too
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-mine.done:
		return mine.none, mine.err
	}
}

// run reads until nobody waits.
func (q *questions) run(ctx context.Context) {
	for {
		batch, keys := q.take()
		if len(batch) == 0 {
			return
		}
		none, err := q.read(ctx, keys)
		for _, one := range batch {
			one.none, one.err = none, err
			close(one.done)
		}
	}
}

// take returns those that wait, as many as one read can answer.
func (q *questions) take() (batch []*question, keys []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.waiting) && len(keys) < maxKeys {
		keys = append(keys, q.waiting[n].keys...)
		n++
	}
	batch = q.waiting[:n:n]
	if q.waiting = q.waiting[n:]; n == 0 {
		q.waiting, q.reading = nil, false
	}
	return batch, keys
}
