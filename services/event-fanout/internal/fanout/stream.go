package fanout

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Outgoing is one message for a connection. ID is empty for what is not stored.
type Outgoing struct {
	ID    string
	Event string
	Body  []byte
}

// Conn is the transport of a stream. Send is never called concurrently with itself; Close may come
// at any time.
type Conn interface {
	// Send writes messages in order, all or an error. It MUST fail when the peer is known to
	// have gone, and when it cannot finish within its write deadline.
	Send(messages []Outgoing) error
	// Close ends the connection; it may be called more than once.
	Close()
}

// Ending is why a stream ends.
type Ending uint8

// The endings. The zero value is that the peer has gone, or does not keep up.
const (
	EndGone    Ending = iota
	EndDrain          // the process stops
	EndExpired        // the session has run out
	EndRevoked        // the session was ended
	EndClosed         // an operator closed it; the client may come back
)

// ReasonCloser is a Conn whose protocol can say why it ends. End is called at most once, before Close,
// never concurrently with Send.
type ReasonCloser interface {
	End(why Ending)
}

// maxReplies bounds the answers that wait in memory for a client that does not take them.
const maxReplies = 64

// Stream is one live connection of a client. Frames of the live feed are queued while they
// follow one another without a hole; whatever does not fit (an overflow, a hole, the backlog
// at the start) is read from the log instead. So the queue is bounded, nothing is lost, and a
// stream with nothing to write owns no goroutine.
type Stream struct {
	hub       *Hub
	group     *group
	client    Client
	token     authwire.Token
	address   string
	expiresAt int64 // end of the session as last heard, Unix nanoseconds; guarded by the hub's mutex
	askAt     int64 // when the authority is asked about it, likewise
	conn      Conn
	epoch     string
	email     string // of the session's user, for operators to see
	since     int64  // when it began, Unix nanoseconds
	place     int32  // in the hub's places; guarded by the hub's mutex
	slot, at  int32  // place on the heartbeat wheel
	due       int32  // place in the hub's expiries, -1 for none
	// The owner's streams before and after it; guarded by the hub's mutex.
	before, next *Stream

	mu       sync.Mutex
	queue    []Frame
	bytes    int
	accepted uint64 // highest sequence queued or written
	written  uint64 // highest sequence written
	saved    uint64 // highest sequence recorded as written
	liveMax  uint64 // highest sequence heard of while reading the log
	replies  []Outgoing
	// What is being written: it is not in the queue any more, and not with the client yet.
	writing, writingBytes int32
	misses                int8   // reads of the log that did not find what was heard of
	ending                Ending // why it is to end
	leaving               bool   // it is to end once what is queued was sent
	replay                bool   // the log must be read
	ping                  bool   // a heartbeat is due
	running               bool   // a pump goroutine is at work
	closed                bool
}

// live takes a frame of the feed; previous is the sequence of the client's frame before it.
func (s *Stream) live(f Frame, previous uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || f.Seq <= s.accepted:
		return
	case s.replay:
		s.liveMax = max(s.liveMax, f.Seq)
	case previous > s.accepted || len(s.queue) >= s.hub.cfg.QueueFrames || s.bytes+len(f.Body) > s.hub.cfg.QueueBytes:
		s.replay, s.liveMax = true, f.Seq
	default:
		s.queue = append(s.queue, f)
		s.bytes += len(f.Body)
		s.accepted = f.Seq
	}
	s.wake()
}

// resync makes the stream read the log: the feed may have lost something.
func (s *Stream) resync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replay = true
	s.wake()
}

// heartbeat asks for a ping.
func (s *Stream) heartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ping = true
	s.wake()
}

// Reply sends an answer to a request of the client, after what is being written. A client that
// takes none of its answers is cut off.
func (s *Stream) Reply(body []byte) {
	s.mu.Lock()
	full := len(s.replies) >= maxReplies
	if !full && !s.closed {
		s.replies = append(s.replies, Outgoing{Event: frame.EventMessage, Body: body})
		s.wake()
	}
	s.mu.Unlock()
	if full {
		s.close()
	}
}

// end closes, with a last message if the session ended. What is queued is sent before it.
func (s *Stream) end(why Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leaving {
		s.leaving, s.ending = true, why
	}
	s.wake()
}

// alive reports whether the peer is known to be there. A transport that cannot tell, or whose
// handler notices by itself, counts as alive.
func (s *Stream) alive() bool {
	if c, ok := s.conn.(interface{ Alive() bool }); ok {
		return c.Alive()
	}
	return true
}

// wake starts the pump if it is not at work. The caller holds mu.
func (s *Stream) wake() {
	if s.running || s.closed {
		return
	}
	s.running = true
	go s.pump()
}

// pump writes until there is nothing left to write, then ends.
func (s *Stream) pump() {
	for s.step() {
	}
}

// step does one round and reports whether another may be needed.
func (s *Stream) step() bool {
	s.mu.Lock()
	if s.closed {
		s.running = false
		s.mu.Unlock()
		return false
	}
	frames, replies, replay, ping, leaving, why := s.queue, s.replies, s.replay, s.ping, s.leaving, s.ending
	s.queue, s.replies, s.bytes, s.ping = nil, nil, 0, false
	if len(frames) == 0 && len(replies) == 0 && !replay && !ping && !leaving {
		s.running = false
		s.savePosition()
		s.mu.Unlock()
		return false
	}
	s.mu.Unlock()

	err := s.write(frames, replies, ping)
	if err == nil && replay && !leaving { // what the log still has waits for the next connection
		err = s.readLog()
	}
	if err == nil && leaving {
		s.sayGoodbye(why)
		err = errEnded
	}
	if err != nil {
		s.close()
		return false
	}
	return true
}

// sayGoodbye tells the client why it ends; it ends either way.
func (s *Stream) sayGoodbye(why Ending) {
	reason := map[Ending]string{EndExpired: "expired", EndRevoked: "revoked"}[why]
	if reason != "" {
		body := frame.Notify(frame.MethodSessionExpired, frame.SessionExpiredParams{Reason: reason})
		_ = s.conn.Send([]Outgoing{{Event: frame.MethodSessionExpired, Body: body}})
	}
	if why == EndClosed {
		body := frame.Notify(frame.MethodClosed, frame.ClosedParams{Reason: frame.ClosedByOperator})
		_ = s.conn.Send([]Outgoing{{Event: frame.MethodClosed, Body: body}})
	}
	if c, ok := s.conn.(ReasonCloser); ok {
		c.End(why)
	}
}

// readLog writes what the log has after the last accepted frame. The stream goes back to the
// live feed only when it has seen all that the feed told of meanwhile.
func (s *Stream) readLog() error {
	for {
		s.mu.Lock()
		after, ended := s.accepted, s.leaving
		s.mu.Unlock()
		if ended { // a long backlog must not outlive the session
			return nil
		}
		frames, more, err := s.hub.read(s.client.ID, after)
		if err != nil {
			return s.retryLater(err)
		}
		if err := s.write(frames, nil, false); err != nil {
			return err
		}
		s.mu.Lock()
		if len(frames) > 0 {
			s.accepted = max(s.accepted, frames[len(frames)-1].Seq)
		}
		switch {
		case more || (len(frames) > 0 && s.liveMax > s.accepted):
			s.mu.Unlock()
			continue
		case s.liveMax > s.accepted && s.misses < maxMisses:
			// Announced and not in the log: dropped there (age, limit), or the copy of the log
			// that answered is behind.
			s.misses++
			s.mu.Unlock()
			return s.retryLater(errBehind)
		}
		s.replay, s.liveMax, s.misses = false, 0, 0
		s.mu.Unlock()
		return nil
	}
}

// retryLater keeps the stream open through an outage of the log: it tries again soon.
func (s *Stream) retryLater(err error) error {
	s.hub.logger.Debug("reading the frame log failed, trying again", "err", err)
	s.mu.Lock()
	s.replay = false
	s.mu.Unlock()
	time.AfterFunc(logRetry, s.resync)
	return nil
}

const (
	readBatch = 256
	logRetry  = 250 * time.Millisecond
	maxMisses = 8
)

var errBehind = errors.New("the log does not have what was announced")

func (s *Stream) write(frames []Frame, replies []Outgoing, ping bool) error {
	if len(frames) == 0 && len(replies) == 0 && !ping {
		return nil
	}
	out := make([]Outgoing, 0, len(frames)+len(replies)+1)
	for _, f := range frames {
		id := Position{Epoch: s.epoch, Seq: f.Seq, Client: s.client.ID}.String()
		out = append(
			out,
			Outgoing{ID: id, Event: f.Event, Body: noetlwire.ValidText(f.Body)},
		) // earlier versions stored any
	}
	out = append(out, replies...)
	if ping {
		out = append(out, Outgoing{Event: frame.MethodPing, Body: frame.Ping()})
	}
	s.note(frames)
	if err := s.conn.Send(out); err != nil {
		return err
	}
	if len(frames) > 0 {
		s.mu.Lock()
		s.writing, s.writingBytes = 0, 0
		s.written = max(s.written, frames[len(frames)-1].Seq)
		s.savePosition()
		s.mu.Unlock()
	}
	return nil
}

// note notes what is being written.
func (s *Stream) note(frames []Frame) {
	if len(frames) == 0 {
		return
	}
	bytes := 0
	for _, f := range frames {
		bytes += len(f.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.writingBytes = int32(len(frames)), int32(min(bytes, math.MaxInt32)) //nolint:gosec // within bounds
}

// savePosition records how far the client was served, for a reattach that brings no last id.
// The caller holds mu.
func (s *Stream) savePosition() {
	if s.written > s.saved {
		s.saved = s.written
		s.hub.clients.SavePosition(s.client.ID, s.epoch, s.written)
	}
}

// close ends the stream and takes it out of the hub.
func (s *Stream) close() {
	s.mu.Lock()
	s.running = false
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed, s.queue, s.replies = true, nil, nil
	s.savePosition()
	s.mu.Unlock()
	s.conn.Close()
	s.hub.remove(s)
}

// read reads the log with a bound on how many streams do so concurrently: after an outage of NATS
// all of them want to.
func (h *Hub) read(client string, after uint64) ([]Frame, bool, error) {
	h.readers <- struct{}{}
	defer func() { <-h.readers }()
	ctx, cancel := context.WithTimeout(h.base, 5*time.Second)
	defer cancel()
	return h.log.Since(ctx, client, after, readBatch)
}
