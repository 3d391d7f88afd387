// Package feedlog keeps lifecycle events as the event store of NoETL 3.60 and later does: in the order of
// one sequence, for readers who say how far they are. It keeps them in memory.
package feedlog

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

// Bounds of the log: beyond one of them the oldest records go.
const (
	maxRecords = 100_000
	maxBytes   = 64 << 20
)

// record is one event of the log.
type record struct {
	sequence uint64
	event    int64
	frame    []byte // as the feed sends it
}

var _ sandbox.EventPublisher = (*Log)(nil)

// Log is the adapter. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	records []record // oldest first
	known   map[int64]struct{}
	bytes   int
	last    uint64
	changed chan struct{} // closed, and replaced, when there is more
}

// New makes an empty log.
func New() *Log { return &Log{known: map[int64]struct{}{}, changed: make(chan struct{})} }

// Publish adds an event. The sequence is the event's own id, unless that would go back.
func (l *Log) Publish(_ context.Context, e sandbox.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known[e.ID]; ok {
		return nil
	}
	l.last = max(l.last+1, uint64(max(e.ID, 0)))
	frame := append([]byte("id: "+strconv.FormatUint(l.last, 10)+"\ndata: "), wire.FeedRecord(l.last, e)...)
	frame = append(frame, "\n\n"...)
	l.records = append(l.records, record{l.last, e.ID, frame})
	l.known[e.ID] = struct{}{}
	l.bytes += len(frame)
	for len(l.records) > 1 && (len(l.records) > maxRecords || l.bytes > maxBytes) {
		l.bytes -= len(l.records[0].frame)
		delete(l.known, l.records[0].event)
		l.records[0] = record{} // the backing array must not keep it alive
		l.records = l.records[1:]
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return nil
}

// batchBytes is about how much a reader gets together.
const batchBytes = 256 << 10

// After returns frames of records behind a cursor, at least one if there is any, and where they end. Without
// any, more is closed when there is one.
func (l *Log) After(cursor uint64) (frames []byte, last uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, _ := slices.BinarySearchFunc(l.records, cursor, func(r record, after uint64) int {
		if r.sequence <= after {
			return -1
		}
		return 1
	})
	for _, r := range l.records[from:] {
		if len(frames) > 0 && len(frames)+len(r.frame) > batchBytes {
			break
		}
		frames, cursor = append(frames, r.frame...), r.sequence
	}
	return frames, cursor, l.changed
}
