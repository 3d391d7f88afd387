package natslifecycle

import (
	"math"
	"sync"
	"time"
)

// Sole reports whether this process alone has appended to the log, and since when: it reads every source.
type Sole func() (since time.Time, sole bool)

// soleAfter is how long a process must have been alone: longer than an event of the one before it can be under way.
const soleAfter = 2 * publishTimeout

// maxAppended bounds for how many executions it is known what the log has.
const maxAppended = 100_000

// unknown is the last sequence of an execution of which only that it has events is known.
const unknown = math.MaxUint64

// appended is what this process knows of the log without asking, as long as nobody else appends to it. It is safe
// for concurrent use.
type appended struct {
	mu sync.Mutex
	// last is the last sequence of the executions that have events.
	last map[string]uint64
	// under is how many events of an execution are on their way to the log.
	under map[string]int
	// tenure is since when this process is alone, and era the connection; complete is set when last has every
	// execution whose events are kept from before.
	tenure   time.Time
	era      uint64
	complete bool
}

// begin notes an event that is about to be published.
func (a *appended) begin(executionID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.under == nil {
		a.under = map[string]int{}
	}
	a.under[executionID]++
}

// end notes where it was stored, unknown if that cannot be told.
func (a *appended) end(executionID string, seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.under[executionID]--; a.under[executionID] == 0 {
		delete(a.under, executionID)
	}
	a.set(executionID, max(a.last[executionID], seq))
}

func (a *appended) set(executionID string, seq uint64) {
	if a.last == nil || len(a.last) >= maxAppended {
		a.last, a.complete = map[string]uint64{}, false
	}
	a.last[executionID] = seq
}

// after reports whether an execution has events after a sequence, and whether that is known. missing says that what
// was there before has to be loaded.
func (a *appended) after(executionID string, seq uint64, tenure time.Time, era uint64) (anyNew, known, missing bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tenure != tenure || a.era != era {
		a.tenure, a.era, a.complete, a.last = tenure, era, false, nil
	}
	switch last := a.last[executionID]; {
	case !a.complete:
		return false, false, true
	case a.under[executionID] > 0, last == unknown:
		return false, false, false
	default:
		return last > seq, true, false
	}
}

// load adds the executions that the log has.
func (a *appended) load(executions []string, tenure time.Time, era uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tenure != tenure || a.era != era || len(executions) >= maxAppended/2 {
		return
	}
	a.complete = true
	for _, id := range executions {
		if _, known := a.last[id]; !known {
			a.set(id, unknown)
		}
	}
}
