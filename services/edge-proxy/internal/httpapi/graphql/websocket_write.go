package graphql

import (
	"context"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// send queues a message, and waits while a slow client leaves no room. It reports false when ctx
// ended first.
func (s *socket) send(ctx context.Context, m outgoing) bool {
	if s.room.Acquire(ctx, s.weight(m)) != nil {
		return false
	}
	select {
	case s.queue <- m:
		return true
	case <-ctx.Done():
		s.room.Release(s.weight(m))
		return false
	}
}

// weight is what a message takes of the queue: all of it, if it is larger.
func (s *socket) weight(m outgoing) int64 { return min(int64(len(m.body)), s.limits.QueueBytes) }

// write is the goroutine that writes. Beside it the reader writes control frames: answers to
// pings, and what the library says to a breach of RFC 6455. The library sends nothing after a
// close frame, whoever wrote it.
func (s *socket) write() {
	defer close(s.written)
	// Control frames, as the servers of graphql-ws send them: every client's WebSocket answers them
	// by itself, in a background tab too, where one with disablePong answers no message.
	ping := time.NewTicker(s.limits.Ping)
	defer ping.Stop()
	for {
		var err error
		select {
		case m := <-s.queue:
			err = s.deliver(m)
		case <-ping.C:
			err = s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.limits.Write))
		case why := <-s.ending:
			s.goodbye(why)
			return
		}
		if err != nil {
			s.finish(ending{})
		}
	}
}

// goodbye ends the writing side.
func (s *socket) goodbye(why ending) {
	for why.flush {
		select {
		case m := <-s.queue:
			why.flush = s.deliver(m) == nil
		default:
			why.flush = false
		}
	}
	if why.code != 0 {
		frame := websocket.FormatCloseMessage(why.code, why.reason)
		_ = s.ws.WriteControl(websocket.CloseMessage, frame, time.Now().Add(closeWait)) // the peer may be gone
	}
	s.stopReading()
}

// deliver writes a message, unless it is of an operation that the client does not wait for any
// more: its id may have another meaning by now.
func (s *socket) deliver(m outgoing) error {
	defer s.room.Release(s.weight(m))
	if m.of != nil && !s.awaited(m) {
		return nil
	}
	w, err := s.ws.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(m.body, writePart) {
		_ = s.ws.SetWriteDeadline(time.Now().Add(s.limits.Write)) // it only remembers it
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Close()
}
