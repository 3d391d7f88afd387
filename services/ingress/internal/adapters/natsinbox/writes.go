package natsinbox

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/natskit"
)

// Bounds of what is stored together. NATS takes 1,000 messages in one batch. It stages a batch in files of its own
// first, which costs as much as storing some dozen messages one by one.
const (
	groupMin   = 24
	groupMax   = 256
	groupBytes = 2 << 20
	groupTime  = 5 * time.Second
)

// writes stores messages in a stream. Those that come while others are being stored are stored together after them, if
// there are many as one atomic batch, which NATS syncs to the disk once and acknowledges after that. Each of them is
// stored under its own subject. If NATS ends in the middle of a batch, some of it may be stored and none of it is
// acknowledged, as with single messages. It is safe for concurrent use.
type writes struct {
	js     jetstream.JetStream
	stream *natskit.Lazy[jetstream.Stream]
	least  int // fewer are stored one by one

	mu    sync.Mutex
	queue []*write
	busy  bool
}

// write is one message. It is stored only if the last message on the subjects of a filter is the expected one.
type write struct {
	msg      *nats.Msg
	filter   string // empty expects nothing
	stored   chan struct{}
	sequence uint64
	err      error
}

// put stores a message and returns its sequence.
func (w *writes) put(ctx context.Context, msg *nats.Msg, expected uint64, filter string) (uint64, error) {
	if filter != "" {
		msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expected, 10))
		msg.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, filter)
	}
	one := &write{msg: msg, filter: filter, stored: make(chan struct{})}
	w.mu.Lock()
	w.queue = append(w.queue, one)
	if !w.busy {
		w.busy = true
		go w.run(context.WithoutCancel(ctx))
	}
	w.mu.Unlock()
	select {
	case <-one.stored:
		return one.sequence, one.err
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(other *write) bool { return other == one })
	return 0, natskit.AsFault(ctx.Err())
}

// run stores what is queued until nothing is.
func (w *writes) run(ctx context.Context) {
	for group := w.next(); len(group) > 0; group = w.next() {
		gctx, cancel := context.WithTimeout(ctx, groupTime)
		w.store(gctx, group)
		cancel()
		for _, one := range group {
			close(one.stored)
		}
	}
}

// next takes the next group. Of one filter it takes one message only: within a batch NATS does not compare with what
// comes before in it.
func (w *writes) next() []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	var group, rest []*write
	filters := make(map[string]bool, len(w.queue))
	bytes := 0
	for _, one := range w.queue {
		size := len(one.msg.Data)
		if len(group) > 0 && (len(group) == groupMax || bytes+size > groupBytes || filters[one.filter]) {
			rest = append(rest, one)
			continue
		}
		bytes += size
		filters[one.filter] = one.filter != ""
		group = append(group, one)
	}
	w.queue, w.busy = rest, len(group) > 0
	return group
}

// store stores a group. If NATS refuses it, for example because of one message in it, each is stored alone.
func (w *writes) store(ctx context.Context, group []*write) {
	if len(group) >= w.least {
		last, err := natskit.Use(ctx, w.stream, func(jetstream.Stream) (uint64, error) { return w.batch(ctx, group) })
		var refused *jetstream.APIError
		if err == nil || !errors.As(err, &refused) {
			for _, one := range slices.Backward(group) {
				one.sequence, one.err = last, err
				last--
			}
			return
		}
	}
	var wg sync.WaitGroup
	for _, one := range group {
		wg.Go(func() {
			one.sequence, one.err = natskit.Use(ctx, w.stream, func(jetstream.Stream) (uint64, error) {
				return w.single(ctx, one.msg)
			})
		})
	}
	wg.Wait()
}

// batch returns the sequence of the last message; they follow each other.
func (w *writes) batch(ctx context.Context, group []*write) (uint64, error) {
	messages := make([]*nats.Msg, len(group))
	for i, one := range group {
		messages[i] = one.msg
	}
	ack, err := jetstreamext.PublishMsgBatch(ctx, w.js, messages, jetstreamext.BatchFlowControl{})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (w *writes) single(ctx context.Context, msg *nats.Msg) (uint64, error) {
	for _, name := range []string{
		jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader,
	} {
		msg.Header.Del(name) // of a batch that was refused
	}
	ack, err := w.js.PublishMsg(ctx, msg)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}
