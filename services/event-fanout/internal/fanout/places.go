package fanout

import (
	"slices"
)

// chunkSize is how many places are passed over together when nobody has them.
const chunkSize = 256

// places holds all streams of a process in an order that does not change while others come and go, so that operators
// can list them page by page: a stream keeps its place as long as it lives. Adding and removing one costs the same
// however many there are; a page costs what it holds, and a step for each empty chunk. The hub's lock guards it.
type places struct {
	chunks []*chunk
	vacant []int32 // places that streams left, the last one first
	count  int
}

type chunk struct {
	streams [chunkSize]*Stream
	count   int
}

func (p *places) put(s *Stream) {
	if last := len(p.vacant) - 1; last >= 0 {
		s.place, p.vacant = p.vacant[last], p.vacant[:last]
	} else {
		s.place = int32(p.count) //nolint:gosec // streams are counted in thousands
		if p.count%chunkSize == 0 {
			p.chunks = append(p.chunks, &chunk{})
		}
	}
	c := p.chunks[s.place/chunkSize]
	c.streams[s.place%chunkSize] = s
	c.count++
	p.count++
}

func (p *places) free(s *Stream) {
	c := p.chunks[s.place/chunkSize]
	c.streams[s.place%chunkSize] = nil
	c.count--
	if p.count--; p.count == 0 {
		*p = places{}
		return
	}
	p.vacant = append(p.vacant, s.place)
}

// from returns up to limit streams from a place on, and the place after them; the last page has none.
func (p *places) from(place, limit int) (list []*Stream, next int) {
	for i := place / chunkSize; i < len(p.chunks); i++ {
		c := p.chunks[i]
		if c.count == 0 {
			continue
		}
		for j, s := range c.streams[max(0, place-i*chunkSize):] {
			switch {
			case s == nil:
			case len(list) == limit:
				return list, i*chunkSize + max(0, place-i*chunkSize) + j
			default:
				list = append(list, s)
			}
		}
	}
	return list, -1
}

// ownedStreams is the streams of one user, in no order: each leads to the next.
type ownedStreams struct {
	count int
	first *Stream
}

// own adds a stream to its owner's. The caller holds the hub's lock.
func (h *Hub) own(s *Stream) {
	o := h.byOwner[s.client.Owner]
	if s.next = o.first; s.next != nil {
		s.next.before = s
	}
	h.byOwner[s.client.Owner] = ownedStreams{count: o.count + 1, first: s}
}

// disown removes it. The caller holds the hub's lock.
func (h *Hub) disown(s *Stream) {
	o := h.byOwner[s.client.Owner]
	if o.count--; o.count == 0 {
		delete(h.byOwner, s.client.Owner)
		return
	}
	if s.before == nil {
		o.first = s.next
	} else {
		s.before.next = s.next
	}
	if s.next != nil {
		s.next.before = s.before
	}
	s.before, s.next = nil, nil
	h.byOwner[s.client.Owner] = o
}

// ofOwner is places.from for the streams of one user. It looks at all of them, which the limit per user bounds.
func (h *Hub) ofOwner(owner string, place, limit int) (list []*Stream, next int) {
	for s := h.byOwner[owner].first; s != nil; s = s.next {
		if int(s.place) >= place {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *Stream) int { return int(a.place) - int(b.place) })
	if len(list) <= limit {
		return list, -1
	}
	return list[:limit], int(list[limit].place)
}
