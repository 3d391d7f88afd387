package natskit

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/fault"
)

// Backlog reads up to limit messages of a subject after a sequence, in order, and fewer when they have
// more than maxBytes together, with one batched direct get (NATS ADR-31): no consumer is made. more
// reports whether the stream held others. An answer that was cut short is an error, never the end.
func Backlog(
	ctx context.Context, js jetstream.JetStream, stream, subject string, after uint64, limit, maxBytes int,
) (messages []*jetstream.RawStreamMsg, more bool, err error) {
	batch, err := jetstreamext.GetBatch(
		ctx,
		js,
		stream,
		limit,
		jetstreamext.GetBatchSubject(
			subject,
		),
		jetstreamext.GetBatchSeq(after+1),
		jetstreamext.GetBatchMaxBytes(maxBytes),
	)
	if err != nil {
		return nil, false, err
	}
	for m, err := range batch {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, false, nil
		case err != nil:
			return nil, false, err
		}
		more = m.Header.Get("Nats-Num-Pending") != "0"
		messages = append(messages, m)
	}
	if len(messages) == 0 { // the iterator ends without an error when NATS does not answer
		return nil, false, ErrSilent()
	}
	return messages, more, nil
}

// ErrSilent says that NATS did not answer a batched direct get.
func ErrSilent() error {
	return fault.New(fault.Unavailable, "nats_silent", "a part of the gateway is unavailable; try again")
}
