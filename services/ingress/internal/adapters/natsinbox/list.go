package natsinbox

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Bounds of one page: how often a stream is read for it, and how much in one read.
const (
	maxReads  = 12
	readLimit = 256
	readBytes = 2 << 20
	minWindow = 64
)

// List implements the port. The streams are read backwards, a window of sequences at a time that grows while nothing
// is found in it, so that neither what is stored nor what does not match makes a page slow.
func (s *Store) List(ctx context.Context, q ingress.Query) (ingress.Page, error) {
	at, err := parseCursor(q.Cursor)
	if err != nil {
		return ingress.Page{}, err
	}
	listener := "*"
	if q.Listener != "" {
		listener = q.Listener
	}
	state := q.State
	if state == "" {
		state = "*"
	}
	refused := state == ingresswire.Rejected || state == ingresswire.Conflicting
	var states, rejected part
	if !refused {
		filter := subjectState + string(state) + "." + token(listener) + ".*"
		if states, err = s.back(ctx, s.states, States, filter, at[0], q.Limit); err != nil {
			return ingress.Page{}, err
		}
		states.records = s.latest(ctx, states.records)
	}
	if refused || state == "*" {
		filter := subjectRejected + string(state) + "." + token(listener) + ".*"
		if rejected, err = s.back(ctx, s.rejected, Rejected, filter, at[1], q.Limit); err != nil {
			return ingress.Page{}, err
		}
	}
	return merge(states, rejected, q.Limit), nil
}

// ended is the place in a cursor of a stream that has no more.
const ended = 0

// cursor holds, for each stream, the sequence before which the next page begins.
type cursor [2]uint64

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{^uint64(0), ^uint64(0)}, nil
	}
	first, second, ok := strings.Cut(text, "-")
	a, err1 := strconv.ParseUint(first, 10, 64)
	b, err2 := strconv.ParseUint(second, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return cursor{}, fault.New(fault.Invalid, "bad_cursor", "the cursor is not one of ours")
	}
	return cursor{a, b}, nil
}

// part is what one stream has for a page, and where it goes on.
type part struct {
	records []ingress.Record
	next    uint64
}

// merge makes a page of what changed last in either stream.
func merge(a, b part, limit int) ingress.Page {
	var page ingress.Page
	for len(page.Records) < limit && len(a.records)+len(b.records) > 0 {
		from := &a
		if len(a.records) == 0 || len(b.records) > 0 && b.records[0].ChangedAt.After(a.records[0].ChangedAt) {
			from = &b
		}
		page.Records = append(page.Records, from.records[0])
		from.records = from.records[1:]
	}
	for _, p := range []*part{&a, &b} {
		if len(p.records) > 0 { // what is left begins the next page
			p.next = p.records[0].Revision + 1
		}
	}
	if a.next != ended || b.next != ended {
		page.Next = strconv.FormatUint(a.next, 10) + "-" + strconv.FormatUint(b.next, 10)
	}
	return page
}

// back reads at most limit records of a stream before a sequence, the last one first.
func (s *Store) back(
	ctx context.Context, lazy *natskit.Lazy[jetstream.Stream], name, filter string, before uint64, limit int,
) (part, error) {
	var out part
	if before == ended {
		return out, nil
	}
	info, err := natskit.Use(ctx, lazy, func(stream jetstream.Stream) (*jetstream.StreamInfo, error) {
		return stream.Info(ctx)
	})
	if err != nil {
		return out, err
	}
	first, high := max(info.State.FirstSeq, 1), min(before, info.State.LastSeq+1)
	window := uint64(minWindow)
	for reads := 0; reads < maxReads && high > first && len(out.records) < limit; reads++ {
		low := first
		if high-first > window {
			low = high - window
		}
		found, more, err := natskit.Backlog(ctx, s.js, name, filter, low-1, readLimit, readBytes)
		if err != nil {
			return out, lazy.AsFault(err)
		}
		if n := len(found); more && n > 0 && found[n-1].Sequence < high-1 && window > minWindow {
			window = max(window/8, minWindow) // there are more than one read gives: nearer to the end
			continue
		}
		for _, m := range slices.Backward(found) {
			if m.Sequence < high {
				out.records = appendRecord(out.records, m)
			}
		}
		high, window = low, window*4
	}
	if len(out.records) > limit {
		out.records = out.records[:limit]
		high = out.records[limit-1].Revision
	}
	if high > first {
		out.next = high
	}
	return out, nil
}

func appendRecord(to []ingress.Record, m *jetstream.RawStreamMsg) []ingress.Record {
	r, err := decodeRecord(stored{Sequence: m.Sequence, Data: m.Data})
	if err != nil {
		return to // not one of ours
	}
	return append(to, r)
}

// latest leaves out records that a later one stands for: who wrote that could not remove them.
func (s *Store) latest(ctx context.Context, records []ingress.Record) []ingress.Record {
	var filters []string
	for _, r := range records {
		if r.State == ingresswire.Waiting || r.State == ingresswire.Dead {
			filters = append(filters, recordSubject("*", r.Listener, r.ID))
		}
	}
	if len(filters) == 0 {
		return records
	}
	last := map[string]uint64{}
	batch, err := jetstreamext.GetLastMsgsFor(ctx, s.js, States, filters)
	if err != nil {
		return records
	}
	for m, err := range batch {
		if err != nil {
			return records
		}
		key := m.Subject[strings.LastIndexByte(m.Subject, '.'):]
		last[key] = max(last[key], m.Sequence)
	}
	return slices.DeleteFunc(records, func(r ingress.Record) bool { return last["."+r.ID] > r.Revision })
}
