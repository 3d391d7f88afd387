// Package fanouttest holds in-memory fakes of the ports of fanout, and the conformance suite
// of each port, which runs on the fake and on the real adapter.
package fanouttest

import (
	"cmp"
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// MaxBody is what the fake log takes, in bytes.
const MaxBody = 1 << 20

var (
	_ fanout.FrameLog = (*Frames)(nil)
	_ fanout.LiveFeed = (*Frames)(nil)
)

// Frames is a frame log with its live feed, in memory.
type Frames struct {
	mu       sync.Mutex
	epoch    int
	first    uint64
	last     uint64
	byClient map[string][]fanout.Frame
	seen     map[string]bool
	evicted  map[string]bool
	follow   map[string]map[int]func(fanout.Frame, uint64)
	alive    map[string]map[int]func() bool
	follows  int

	fake.Failing
	Page fake.Value[int]         // Since returns at most that many frames, as a log does whose frames are large
	Lose fake.Value[func() bool] // the live feed drops the frames for which it returns true
}

// NewFrames makes an empty log.
func NewFrames() *Frames {
	return &Frames{
		epoch:    1,
		first:    1,
		byClient: map[string][]fanout.Frame{},
		seen:     map[string]bool{},
		evicted:  map[string]bool{},
		follow:   map[string]map[int]func(fanout.Frame, uint64){},
		alive:    map[string]map[int]func() bool{},
	}
}

// Reset empties the log and gives it another epoch.
func (f *Frames) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
	f.first, f.last, f.byClient, f.seen = 1, 0, map[string][]fanout.Frame{}, map[string]bool{}
}

// Age drops the frames before a sequence.
func (f *Frames) Age(first uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.first = first
	for c, frames := range f.byClient {
		for len(frames) > 0 && frames[0].Seq < first {
			frames = frames[1:]
		}
		f.byClient[c] = frames
	}
}

// Evict drops the oldest frame of one client, as a limit per client does.
func (f *Frames) Evict(client string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byClient[client], f.evicted[client] = f.byClient[client][1:], true
}

// All returns the frames of a client.
func (f *Frames) All(client string) []fanout.Frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fanout.Frame(nil), f.byClient[client]...)
}

// Append implements the port.
func (f *Frames) Append(ctx context.Context, client string, n fanout.NewFrame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch err := f.Err(); {
	case err != nil:
		return err
	case len(n.Body) > MaxBody:
		return fault.New(fault.TooLarge, "frame_too_large", "too large")
	case f.seen[n.DedupID]:
		return nil
	}
	f.seen[n.DedupID] = true
	f.last++
	previous := uint64(0)
	if have := f.byClient[client]; len(have) > 0 {
		previous = have[len(have)-1].Seq
	}
	frame := fanout.Frame{Seq: f.last, Event: n.Event, Body: n.Body}
	stored := frame
	stored.At = time.Now()
	f.byClient[client] = append(f.byClient[client], stored)
	if lose := f.Lose.Get(); lose != nil && lose() {
		return nil
	}
	for _, deliver := range f.follow[client] {
		deliver(frame, previous)
	}
	return nil
}

// AppendEach implements the port.
func (f *Frames) AppendEach(ctx context.Context, frames []fanout.ClientFrame) []error {
	errs := make([]error, len(frames))
	for i, frame := range frames {
		errs[i] = f.Append(ctx, frame.Client, frame.NewFrame)
	}
	return errs
}

// Since implements the port.
func (f *Frames) Since(ctx context.Context, client string, after uint64, limit int) ([]fanout.Frame, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.Err(); err != nil {
		return nil, false, err
	}
	limit = paged(limit, f.Page.Get())
	var out []fanout.Frame
	for _, frame := range f.byClient[client] {
		if frame.Seq <= after {
			continue
		}
		if len(out) == limit {
			return out, true, ctx.Err()
		}
		out = append(out, frame)
	}
	return out, false, ctx.Err()
}

// Before implements the port.
func (f *Frames) Before(ctx context.Context, client string, at time.Time) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var before uint64
	for _, frame := range f.byClient[client] {
		if !frame.At.Before(at) {
			break
		}
		before = frame.Seq
	}
	return before, cmp.Or(f.Err(), ctx.Err())
}

// paged is the smaller of a limit and the size of a page, which may be 0 for none.
func paged(limit, page int) int {
	if page > 0 {
		return min(limit, page)
	}
	return limit
}

// Client implements the port.
func (f *Frames) Client(ctx context.Context, epoch string, seq uint64) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.Err(); err != nil || epoch != f.name() {
		return "", err
	}
	for client, frames := range f.byClient {
		for _, frame := range frames {
			if frame.Seq == seq {
				return client, ctx.Err()
			}
		}
	}
	return "", ctx.Err()
}

// Full implements the port: a client from whom a frame was evicted has too many.
func (f *Frames) Full(ctx context.Context, client string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.Err(); err != nil {
		return false, err
	}
	return f.evicted[client], ctx.Err()
}

// Window implements the port.
func (f *Frames) Window(context.Context, string) (fanout.Window, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fanout.Window{Epoch: f.name(), First: f.first, Last: f.last}, f.Err()
}

// Epochs implements the port.
func (f *Frames) Epochs(context.Context) (func(string) string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	epoch := f.name()
	return func(string) string { return epoch }, f.Err()
}

func (f *Frames) name() string { return "e" + strconv.Itoa(f.epoch) }

// Follow implements the port.
func (f *Frames) Follow(client string, deliver func(fanout.Frame, uint64), alive func() bool) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follows++
	id := f.follows
	if f.follow[client] == nil {
		f.follow[client] = map[int]func(fanout.Frame, uint64){}
		f.alive[client] = map[int]func() bool{}
	}
	f.follow[client][id], f.alive[client][id] = deliver, alive
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.follow[client], id)
		delete(f.alive[client], id)
	}, nil
}

// Present implements the port.
func (f *Frames) Present(_ context.Context, client string) (bool, error) {
	f.mu.Lock()
	asked, err := maps.Clone(f.alive[client]), f.Err()
	f.mu.Unlock()
	for _, alive := range asked {
		if alive() {
			return true, err
		}
	}
	return false, err
}
