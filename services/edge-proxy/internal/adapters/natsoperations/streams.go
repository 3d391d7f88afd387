package natsoperations

import (
	"context"
	"strings"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
)

// maxRounds bounds how many questions one page may take.
const maxRounds = 16

// ListStreams implements the port. The replicas are listed one after the other, in the order of their names. Each
// question goes to all of them: the one that the cursor names answers with a page, the others with how many streams
// they have. A replica that died is passed over; one that was added meanwhile is listed if its turn is yet to come.
func (o *Operations) ListStreams(
	ctx context.Context, in operatorwire.StreamsRequest,
) (operatorwire.StreamsResponse, error) {
	limit := in.Limit
	if limit == 0 {
		limit = operatorwire.DefaultPage
	}
	out := operatorwire.StreamsResponse{Streams: []operatorwire.Stream{}}
	ask := in
	if ask.Cursor == "" && in.Replica != "" {
		ask.Cursor = in.Replica + ".0"
	}
	for round, missed := 0, false; round < maxRounds; round++ {
		ask.Limit = limit - len(out.Streams)
		answers, err := o.streams(ctx, ask)
		if err != nil {
			return out, err
		}
		at, _, _ := strings.Cut(ask.Cursor, ".")
		if in.Replica != "" && at != in.Replica {
			return out, fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
		}
		page, heard := count(answers, at, &out.Total)
		if at != "" && !heard && !missed { // perhaps it was only slow
			missed = true
			continue
		}
		missed = false
		if in.Replica != "" && !heard {
			return out, fault.New(fault.NotFound, "unknown_replica", "no replica of that name answers")
		}
		out.Streams = append(out.Streams, page.Streams...)
		out.Next = page.Next
		if page.Next != "" || in.Replica != "" {
			return out, nil
		}
		next := after(answers, at)
		if next == "" {
			return out, nil
		}
		ask.Cursor = next + ".0"
		if out.Next = ask.Cursor; 2*len(out.Streams) >= limit {
			return out, nil
		}
	}
	return out, nil
}

// streams asks all replicas once. What fails at all of them is the error.
func (o *Operations) streams(
	ctx context.Context, ask operatorwire.StreamsRequest,
) ([]natskit.Answer[operatorwire.StreamsResponse], error) {
	answers, err := natskit.Each[operatorwire.StreamsRequest, operatorwire.PackedStreams](
		ctx, o.calls, callee, operatorwire.SubjectStreams, ask)
	if err != nil {
		return nil, err
	}
	var good []natskit.Answer[operatorwire.StreamsResponse]
	for _, a := range answers {
		page, bad := operatorwire.StreamsResponse{}, a.Err
		if bad == nil {
			a.Value.Replica = a.Replica
			page, bad = a.Value.Unpack()
		}
		if bad != nil {
			err = natskit.AsFault(bad)
			continue
		}
		good = append(good, natskit.Answer[operatorwire.StreamsResponse]{Replica: a.Replica, Value: page})
	}
	if len(good) == 0 {
		return nil, err
	}
	return good, nil
}

// count sums the totals up, and returns the page of a replica.
func count(
	answers []natskit.Answer[operatorwire.StreamsResponse], replica string, total *int,
) (page operatorwire.StreamsResponse, heard bool) {
	*total = 0
	for _, a := range answers {
		*total += a.Value.Total
		if a.Replica == replica {
			page, heard = a.Value, true
		}
	}
	return page, heard
}

// after returns the replica with streams whose turn is next.
func after(answers []natskit.Answer[operatorwire.StreamsResponse], replica string) string {
	for _, a := range answers { // they are in order
		if a.Replica > replica && a.Value.Total > 0 {
			return a.Replica
		}
	}
	return ""
}
