package subscriptions

import (
	"slices"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
)

// begun marks, among what a source tells, that it begins again.
const begun Op = -1

// item is a change that waits, with the moment at which it was seen.
type item struct {
	Change

	seen time.Time
}

// queue holds what a source told until it is delivered. While it has fewer changes than may be delivered in a second,
// each is kept; beyond, a change replaces the one of the same document that waits, so that it never holds more than
// the documents of a watch.
type queue struct {
	mu     sync.Mutex
	items  []item
	last   map[string]int // where the last change of a document is, counted from the first ever
	first  int            // number of items[0]
	bytes  int
	failed string
	wake   chan struct{}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// begin says that the source begins again.
func (q *queue) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed != "" {
		return
	}
	q.items = append(q.items, item{Change: Change{Op: begun}})
	clear(q.last) // what comes is another telling
	q.signal()
}

// fail ends the watch with a reason.
func (q *queue) fail(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = reason
	q.items, q.bytes = nil, 0
	q.signal()
}

// put adds a change. merged is called for one that replaced another.
func (q *queue) put(c Change, l Limits, merged func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed != "" {
		return
	}
	if at, waits := q.last[c.DocID]; waits && c.Op != Ready && len(q.items) >= l.Changes {
		it := &q.items[at-q.first]
		q.bytes += len(c.Data) - len(it.Data)
		it.Change = c
		merged()
	} else {
		q.items = append(q.items, item{Change: c, seen: time.Now()})
		q.bytes += len(c.Data)
		if c.Op != Ready {
			q.last[c.DocID] = q.first + len(q.items) - 1
		}
	}
	if q.bytes > 2*l.Bytes || len(q.last) > l.Documents { // the documents of a watch and those on their way
		q.failed = frame.EndedTooLarge
		q.items, q.bytes = nil, 0
	}
	q.signal()
}

// take returns what comes next: at most most changes, with no two of one document among them, and as many of the
// others as there are between. It returns the reason of a failure instead.
func (q *queue) take(most int) ([]item, string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed != "" {
		return nil, q.failed
	}
	seen := map[string]bool{}
	n := 0
	for n < len(q.items) && len(seen) < most {
		it := q.items[n]
		if it.Op == begun && n > 0 {
			break
		}
		if it.Op == Put || it.Op == Remove {
			if seen[it.DocID] {
				break
			}
			seen[it.DocID] = true
		}
		n++
		if it.Op == Ready {
			break
		}
	}
	taken := slices.Clone(q.items[:n])
	for _, it := range taken {
		q.bytes -= len(it.Data)
		if at, waits := q.last[it.DocID]; waits && at < q.first+n {
			delete(q.last, it.DocID)
		}
	}
	q.items = slices.Delete(q.items, 0, n)
	if q.first += n; len(q.items) == 0 {
		q.items = nil
	}
	return taken, ""
}
