package natsframes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/outage"
)

// layoutKey is the key of the record of the layout in use. Without a record it is one stream.
const layoutKey = "GATEWAY_FRAMES"

// How replicas change to another layout together. Each looks at the record when its last look is older than half of
// settle, before it reads or stores a frame; and it stores nothing in a layout before settle has passed since it
// learned of it. So nobody stores in the old one when the first frame goes into the new one, and half of settle is
// left for a frame that was on its way.
const (
	defaultSettle = 3 * time.Second
	changeTimeout = 10 * time.Second
	changeRetry   = 15 * time.Second
	firstRetry    = 250 * time.Millisecond // NATS and we may start together
	firstTries    = 5 * time.Second        // how long frames wait for the wanted layout, at the start
	// longAgo is how old a change must be for a replica that starts to take part without waiting. It allows for
	// clocks that differ.
	longAgo = time.Minute
)

// errOccupied says that a stream of the wanted layout still has frames of an earlier use.
var errOccupied = errors.New("its streams still have frames of an earlier use, which have to expire first")

// layouts knows the layout in use.
type layouts struct {
	js      jetstream.JetStream
	records *natskit.Lazy[jetstream.KeyValue]
	wanted  int
	settle  time.Duration
	config  func(shards, index int, base uint64) jetstream.StreamConfig
	logger  *slog.Logger
	outage  *outage.Dependency

	asking chan struct{} // holds a token while somebody reads the record
	tried  chan struct{} // closed when frames no longer wait for the wanted layout

	mu       sync.Mutex
	inUse    *generation
	revision uint64
	lookedAt time.Time
}

// current returns the layout in use, for reading.
func (l *layouts) current(ctx context.Context) (*generation, error) {
	if g := l.fresh(); g != nil {
		return g, nil
	}
	if l.wanted > 1 { // a new installation makes no stream that it will never use
		select {
		case <-l.tried:
		case <-ctx.Done():
			return nil, natskit.AsFault(ctx.Err())
		}
	}
	select {
	case l.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, natskit.AsFault(ctx.Err())
	}
	defer func() { <-l.asking }()
	if g := l.fresh(); g != nil {
		return g, nil
	}
	looked := time.Now() // before the record is read: it may change meanwhile
	record, revision, err := l.read(ctx)
	if err != nil {
		return nil, err
	}
	return l.learn(record, revision, looked), nil
}

// writable returns the layout in use when this process may store frames in it.
func (l *layouts) writable(ctx context.Context) (*generation, error) {
	for {
		g, err := l.current(ctx)
		if err != nil {
			return nil, err
		}
		wait := time.Until(g.opensAt)
		if wait <= 0 {
			return g, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, natskit.AsFault(ctx.Err())
		}
	}
}

func (l *layouts) fresh() *generation {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inUse == nil || time.Since(l.lookedAt) > l.settle/2 {
		return nil
	}
	return l.inUse
}

func (l *layouts) learn(record layout, revision uint64, looked time.Time) *generation {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookedAt = looked
	if l.inUse != nil && l.revision == revision {
		return l.inUse
	}
	g := l.open(record)
	if revision != 0 && (l.inUse != nil || time.Since(record.Since) < longAgo) {
		g.opensAt = time.Now().Add(l.settle)
	}
	l.inUse, l.revision = g, revision
	return g
}

func (l *layouts) open(record layout) *generation {
	g := &generation{}
	for age, lay := range append([]layout{record}, record.Before...) {
		shards := make([]*shard, lay.Shards)
		for i := range shards {
			s := &shard{
				name: streamName(lay.Shards, i), prefix: subjectsOf(lay.Shards, i), base: lay.Base,
				since: lay.Since, until: lay.Until,
			}
			if i < len(lay.Epochs) {
				s.epoch = lay.Epochs[i]
			}
			if age == 0 {
				s.stream = natskit.Stream(l.js, l.config(lay.Shards, i, lay.Base), l.logger)
			} else { // it is only read: one that is gone stays so
				s.stream = natskit.NewLazy(l.js.Conn(), func(ctx context.Context) (jetstream.Stream, error) {
					return l.js.Stream(ctx, s.name)
				})
			}
			shards[i] = s
		}
		g.shards = append(g.shards, shards)
	}
	return g
}

// read returns the record and its revision, 0 when there is none.
func (l *layouts) read(ctx context.Context) (layout, uint64, error) {
	entry, err := natskit.Entry(ctx, l.records, layoutKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return layout{Shards: 1}, 0, nil
	}
	if err != nil {
		return layout{}, 0, err
	}
	var record layout
	if err := json.Unmarshal(entry.Value(), &record); err != nil {
		return layout{}, 0, fmt.Errorf("the record of the frames' streams: %w", err)
	}
	return record, entry.Revision(), nil
}

// run brings the wanted layout into use, until ctx ends. Another replica may want another one: the last that starts
// has its way. It brings it back when the record is lost.
func (l *layouts) run(ctx context.Context) error {
	wait := firstRetry
	tried := sync.OnceFunc(func() { close(l.tried) })
	defer time.AfterFunc(firstTries, tried).Stop()
	for reached := false; ; {
		changed, err := l.change(ctx, reached)
		reached = reached || err == nil
		switch {
		case err != nil && ctx.Err() == nil:
			l.outage.Note(ctx, "layout", fmt.Errorf("frames stay in the streams that they are in: %w", err))
		case err == nil:
			l.outage.Note(ctx, "layout", nil)
		}
		if changed {
			l.logger.InfoContext(ctx, "frames go to other streams", "shards", l.wanted)
		}
		if reached {
			tried()
		}
		if reached && l.wanted == 1 { // what it is without a record
			<-ctx.Done()
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		if wait = min(2*wait, changeRetry); reached {
			wait = changeRetry
		}
	}
}

// change makes the wanted layout the one in use, unless it is, or another may stay and is recorded. Everything is ready
// before the record says so.
func (l *layouts) change(ctx context.Context, mayStay bool) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	old, revision, err := l.read(ctx)
	if err != nil || old.Shards == l.wanted || (mayStay && revision != 0) {
		return false, err
	}
	before, last, err := l.leave(ctx, old)
	if err != nil {
		return false, err
	}
	next := layout{Shards: l.wanted, Base: blockAfter(last), Since: time.Now(), Before: before}
	for i := range l.wanted {
		epoch, err := l.prepare(ctx, i, next.Base)
		if err != nil {
			return false, fmt.Errorf("stream %s: %w", streamName(l.wanted, i), err)
		}
		next.Epochs = append(next.Epochs, epoch)
	}
	value, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	_, err = natskit.Use(ctx, l.records, func(kv jetstream.KeyValue) (uint64, error) {
		if revision == 0 {
			return kv.Create(ctx, layoutKey, value)
		}
		return kv.Update(ctx, layoutKey, value, revision)
	})
	return err == nil, err
}

// leave returns the layouts that may have frames once old is no longer in use, and the largest sequence in them.
func (l *layouts) leave(ctx context.Context, old layout) (before []layout, last uint64, err error) {
	var epochs []string
	var age time.Duration
	last = old.Base
	found := false
	for i := range old.Shards {
		s, err := l.js.Stream(ctx, streamName(old.Shards, i))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			epochs = append(epochs, "")
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		info := s.CachedInfo()
		found = true
		epochs = append(epochs, epochOf(info))
		last, age = max(last, info.State.LastSeq), max(age, info.Config.MaxAge)
	}
	if !found {
		return nil, last, nil
	}
	// A stream that was recreated is no continuation of those before it.
	earlier := old.Before
	if len(old.Epochs) > 0 && !slices.Equal(epochs, old.Epochs) {
		earlier = nil
	}
	left := layout{
		Shards: old.Shards, Base: old.Base, Epochs: epochs, Since: old.Since,
		Until: time.Now().Add(age + longAgo),
	}
	for _, lay := range append([]layout{left}, earlier...) {
		// The wanted layout is empty, as prepare makes sure; one that has expired is told from none by its epochs.
		if lay.Shards != l.wanted && len(before) < maxBefore {
			before = append(before, lay)
		}
	}
	return before, last, nil
}

// maxBefore bounds how many layouts are remembered.
const maxBefore = 4

// prepare makes a stream of the wanted layout, or advances an empty one, so that it goes on from base. It returns
// the stream's epoch.
func (l *layouts) prepare(ctx context.Context, index int, base uint64) (string, error) {
	s, err := natskit.BoundStream(l.js, l.config(l.wanted, index, base)).Get(ctx)
	if err != nil {
		return "", err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return "", err
	}
	if info.State.Msgs > 0 {
		return "", errOccupied
	}
	if info.State.LastSeq+1 < base {
		// Purging up to a sequence that is yet to come makes an empty stream go on from there.
		if err := s.Purge(ctx, jetstream.WithPurgeSequence(base)); err != nil {
			return "", err
		}
		if info, err = s.Info(ctx); err != nil {
			return "", err
		}
	}
	if info.State.LastSeq+1 < base {
		return "", fmt.Errorf("it goes on from %d, not from %d", info.State.LastSeq+1, base)
	}
	return epochOf(info), nil
}

// epochOf returns the creation time of a stream: one that was lost and recreated has another.
func epochOf(info *jetstream.StreamInfo) string {
	return strconv.FormatInt(info.Created.UnixNano(), 36)
}
