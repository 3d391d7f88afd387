package natsframes

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// lanes is how many channels share the subscriptions; a client always has the same one, so
// its frames stay in order.
const lanes = 8

// laneDepth is how many messages a lane holds before nats.go drops some and says so.
const laneDepth = 16384

// probeHeader marks the question whether anybody follows a client.
const probeHeader = "Gateway-Probe"

var _ fanout.LiveFeed = (*LiveFeed)(nil)

// LiveFeed follows the live subjects of clients with core NATS. All subscriptions of a process share a few channels,
// because a subscription with a callback of its own costs a goroutine. It is safe for concurrent use; [LiveFeed.Run]
// must be running for frames to arrive.
type LiveFeed struct {
	nc    *nats.Conn
	seed  maphash.Seed
	lanes [lanes]lane
}

type follower struct {
	deliver func(fanout.Frame, uint64)
	alive   func() bool
}

type lane struct {
	messages  chan *nats.Msg
	mu        sync.Mutex
	followers map[string]follower
}

// NewLiveFeed makes the feed.
func NewLiveFeed(nc *nats.Conn) *LiveFeed {
	f := &LiveFeed{nc: nc, seed: maphash.MakeSeed()}
	for i := range f.lanes {
		f.lanes[i].messages = make(chan *nats.Msg, laneDepth)
		f.lanes[i].followers = map[string]follower{}
	}
	return f
}

// Follow implements the port.
func (f *LiveFeed) Follow(client string, deliver func(fanout.Frame, uint64), alive func() bool) (func(), error) {
	l := &f.lanes[maphash.String(f.seed, client)%lanes]
	l.mu.Lock()
	l.followers[client] = follower{deliver, alive}
	l.mu.Unlock()
	sub, err := f.nc.ChanSubscribe(livePrefix+client, l.messages)
	if err != nil {
		l.forget(client)
		return nil, err
	}
	return func() {
		_ = sub.Unsubscribe() // fails only when the connection is closed, which ends it too
		l.forget(client)
	}, nil
}

func (l *lane) forget(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.followers, client)
}

// Present implements the port. Who follows the client here is asked first; only if nobody is there, a request to the
// live subject finds a follower elsewhere. It is answered immediately, by the server when nobody follows the client.
func (f *LiveFeed) Present(ctx context.Context, client string) (bool, error) {
	if f.lanes[maphash.String(f.seed, client)%lanes].present(client) {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	for range presenceTries {
		reply, err := f.nc.RequestMsgWithContext(
			ctx,
			&nats.Msg{Subject: livePrefix + client, Header: nats.Header{probeHeader: []string{"1"}}},
		)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return false, nil
		case err != nil:
			return false, err
		case string(reply.Data) == answerHere:
			return true, nil
		}
		// That follower ends the streams that it found dead; another replica may answer next.
	}
	return false, nil
}

// presenceTries bounds how often Present asks again after a follower that has nobody there.
const presenceTries = 3

// What a follower answers to the question whether anybody is there.
const (
	answerHere = "here"
	answerGone = "gone"
)

// Run hands messages on until ctx ends. onBreak is called after the feed may have lost
// something: a reconnect, or a full lane.
func (f *LiveFeed) Run(ctx context.Context, onBreak func()) error {
	status := f.nc.StatusChanged(nats.CONNECTED)
	defer f.nc.RemoveStatusListener(status)
	var wg sync.WaitGroup
	for i := range f.lanes {
		wg.Go(func() { f.lanes[i].run(ctx, onBreak) })
	}
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil
		case <-status:
			onBreak()
		}
	}
}

func (l *lane) run(ctx context.Context, onBreak func()) {
	full := false
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-l.messages:
			l.handle(m)
		}
		// nats.go drops what finds the channel full. Once there is room again, look for holes.
		switch {
		case len(l.messages) >= cap(l.messages)-1:
			full = true
		case full && len(l.messages) < cap(l.messages)/2:
			full = false
			onBreak()
		}
	}
}

// present reports whether the client's streams here have somebody at their other end.
func (l *lane) present(client string) bool {
	l.mu.Lock()
	follower, ok := l.followers[client]
	l.mu.Unlock()
	return ok && follower.alive()
}

// answer tells a caller whether the client is present here.
func (l *lane) answer(m *nats.Msg) {
	reply := answerGone
	if l.present(clientOf(m.Subject)) {
		reply = answerHere
	}
	_ = m.Respond([]byte(reply)) // the caller has its own deadline
}

func (l *lane) handle(m *nats.Msg) {
	if m.Header.Get(probeHeader) != "" {
		l.answer(m)
		return
	}
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return // not from the stream: somebody else publishes on our subject
	}
	previous, err := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
	if err != nil {
		return
	}
	if previous == 0 && seq >= sequenceBlock {
		// The first in its stream. The one before it may be in a stream that was left: whoever has not seen all of
		// that stream has to read the log.
		previous = seq/sequenceBlock*sequenceBlock - 1
	}
	l.mu.Lock()
	follower, ok := l.followers[clientOf(m.Subject)]
	l.mu.Unlock()
	if ok {
		follower.deliver(fanout.Frame{Seq: seq, Event: m.Header.Get(eventHeader), Body: m.Data}, previous)
	}
}

// clientOf returns the client of a live subject.
func clientOf(subject string) string { return strings.TrimPrefix(subject, livePrefix) }
