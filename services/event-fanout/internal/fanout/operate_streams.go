package fanout

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/operatorwire"
)

// Transport is the optional power of a [Conn] to say what it is: sse or websocket. Who does not say is sse.
type Transport interface{ Transport() string }

// maxPageBytes is when a page of a list has enough, for an answer that one message holds.
const maxPageBytes = 512 << 10

// ListStreams returns a page of the streams of this process. The cursor is "<replica>.<place>": who is not that
// replica, or is given none, only says how many streams it has. So one question to all replicas gets a page of one and
// the number of all.
func (h *Hub) ListStreams(
	_ context.Context, in operatorwire.StreamsRequest,
) (operatorwire.StreamsResponse, error) {
	out := operatorwire.StreamsResponse{Streams: []operatorwire.Stream{}}
	replica, text, addressed := strings.Cut(in.Cursor, ".")
	place, err := strconv.ParseInt(text, 10, 32)
	if addressed && (err != nil || place < 0) || in.Cursor != "" && !addressed {
		return out, errBadCursor()
	}
	limit := in.Limit
	if limit <= 0 {
		limit = operatorwire.DefaultPage
	}
	limit = min(limit, operatorwire.MaxPage)
	var list []*Stream
	next := -1
	h.mu.Lock()
	out.Total = h.count
	switch {
	case !addressed || replica != h.cfg.Replica:
	case in.User != "":
		list, next = h.ofOwner(in.User, int(place), limit)
	default:
		list, next = h.places.from(int(place), limit)
	}
	places := make([]int32, len(list))
	for i, s := range list {
		places[i] = s.place
	}
	h.mu.Unlock()
	out.Streams = make([]operatorwire.Stream, 0, len(list))
	size := 0
	for i, s := range list {
		one := s.state()
		if size += operatorwire.PackedSize(one); size > maxPageBytes && i > 0 {
			next = int(places[i])
			break
		}
		one.Replica = h.cfg.Replica
		out.Streams = append(out.Streams, one)
	}
	if next >= 0 {
		out.Next = h.cfg.Replica + "." + strconv.Itoa(next)
	}
	return out, nil
}

// Replica returns the name of this process among its replicas.
func (h *Hub) Replica() string { return h.cfg.Replica }

// state is what operators see of a stream.
func (s *Stream) state() operatorwire.Stream {
	transport := "sse"
	if t, ok := s.conn.(Transport); ok {
		transport = t.Transport()
	}
	key := s.token.Key()
	s.mu.Lock()
	defer s.mu.Unlock()
	return operatorwire.Stream{
		ClientID: s.client.ID, User: s.client.Owner, Email: s.email, SessionID: key.String(), Transport: transport,
		Since: time.Unix(0, s.since).UTC(), Frames: len(s.queue) + int(s.writing), Bytes: s.bytes + int(s.writingBytes),
	}
}

// CloseStream ends the streams of a client in this process. Their client may come back as long as its session lives.
func (h *Hub) CloseStream(
	_ context.Context, in operatorwire.CloseStreamRequest,
) (operatorwire.CloseStreamResponse, error) {
	streams := h.collect(func(add func(*Stream)) {
		g := h.groups[in.ClientID]
		if g == nil {
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, s := range g.streams {
			add(s)
		}
	})
	for _, s := range streams {
		s.end(EndClosed) //nolint:contextcheck // streams read the log with a context of their own
	}
	return operatorwire.CloseStreamResponse{Closed: len(streams)}, nil
}
