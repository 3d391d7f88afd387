package natskit

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

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
	batch, err := jetstreamext.GetBatch(ctx, js, stream, limit, jetstreamext.GetBatchSubject(subject),
		jetstreamext.GetBatchSeq(after+1), jetstreamext.GetBatchMaxBytes(maxBytes))
	if err != nil {
		return nil, false, err
	}
	messages, pending, err := drain(batch)
	return messages, pending != "0", err
}

// Count returns how many messages a subject has.
func Count(ctx context.Context, js jetstream.JetStream, stream, subject string) (int64, error) {
	batch, err := jetstreamext.GetBatch(ctx, js, stream, 1, jetstreamext.GetBatchSubject(subject),
		jetstreamext.GetBatchSeq(1))
	if err != nil {
		return 0, err
	}
	messages, pending, err := drain(batch)
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	rest, err := strconv.ParseInt(pending, 10, 64)
	return int64(len(messages)) + rest, err
}

// FirstSince returns the sequence of the first message of a subject that was stored at a moment or later, 0 if there is
// none.
func FirstSince(
	ctx context.Context, js jetstream.JetStream, stream, subject string, at time.Time,
) (uint64, error) {
	batch, err := jetstreamext.GetBatch(ctx, js, stream, 1, jetstreamext.GetBatchSubject(subject),
		jetstreamext.GetBatchStartTime(at))
	if err != nil {
		return 0, err
	}
	messages, _, err := drain(batch)
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	return messages[0].Sequence, nil
}

// LastOf returns the last message of a subject, nil if there is none.
func LastOf(ctx context.Context, js jetstream.JetStream, stream, subject string) (*jetstream.RawStreamMsg, error) {
	messages, err := lastOfEach(ctx, js, stream, subject)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	return messages[0], nil
}

// Bounds of one read of [Entries] when a bucket has more than the server names in one answer.
const (
	pageSize  = 512
	pageBytes = 1 << 20
)

// Entries yields the live entries of a bucket whose keys match a filter such as "x.*". Their subjects are
// "$KV.<bucket>.<key>" (NATS ADR-8). The error is the last that is yielded.
func Entries(
	ctx context.Context, js jetstream.JetStream, bucket, filter string,
) iter.Seq2[*jetstream.RawStreamMsg, error] {
	stream, subject := "KV_"+bucket, "$KV."+bucket+"."+filter
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		messages, err := lastOfEach(ctx, js, stream, subject)
		if !errors.Is(err, jetstreamext.ErrBatchUnsupported) { // 413: more subjects than one answer may name
			yieldLive(messages, err, yield)
			return
		}
		for after, more := uint64(0), true; more; {
			messages, more, err = Backlog(ctx, js, stream, subject, after, pageSize, pageBytes)
			if !yieldLive(messages, err, yield) || len(messages) == 0 {
				return
			}
			after = messages[len(messages)-1].Sequence
		}
	}
}

func lastOfEach(
	ctx context.Context, js jetstream.JetStream, stream, subject string,
) ([]*jetstream.RawStreamMsg, error) {
	batch, err := jetstreamext.GetLastMsgsFor(ctx, js, stream, []string{subject})
	if err != nil {
		return nil, err
	}
	messages, pending, err := drain(batch)
	if err == nil && pending != "0" {
		err = ErrSilent()
	}
	return messages, err
}

// yieldLive yields all but the markers of deleted and expired keys, then err, and reports whether to go on.
func yieldLive(messages []*jetstream.RawStreamMsg, err error, yield func(*jetstream.RawStreamMsg, error) bool) bool {
	if err != nil {
		yield(nil, err)
		return false
	}
	for _, m := range messages {
		deleted := m.Header.Get("KV-Operation") != "" || m.Header.Get("Nats-Marker-Reason") != ""
		if !deleted && !yield(m, nil) {
			return false
		}
	}
	return true
}

// drain reads the answer to a batched direct get. pending is how many messages follow, "0" when there are none.
// The iterators of jetstreamext end without an error when NATS does not answer, or stops in the middle.
func drain(batch iter.Seq2[*jetstream.RawStreamMsg, error]) (
	messages []*jetstream.RawStreamMsg, pending string, err error,
) {
	for m, err := range batch {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, "0", nil
		case err != nil:
			return nil, "", err
		}
		pending = m.Header.Get("Nats-Num-Pending")
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil, "", ErrSilent()
	}
	return messages, pending, nil
}

// ErrSilent says that NATS did not answer a batched direct get.
func ErrSilent() error {
	return fault.New(fault.Unavailable, "nats_silent", "a part of the gateway is unavailable; try again")
}

// maxLast bounds how many keys are read in one request: the server names up to 1024 subjects in one answer.
const maxLast = 512

// Last returns the live entries of a bucket at some keys, by key, with one read for many of them (NATS ADR-31). Keys
// that it does not have are missing. The user of the connection needs $JS.API.DIRECT.GET.KV_<bucket>.
func Last(
	ctx context.Context, js jetstream.JetStream, bucket string, keys []string,
) (map[string]*jetstream.RawStreamMsg, error) {
	prefix, entries := "$KV."+bucket+".", make(map[string]*jetstream.RawStreamMsg, len(keys))
	for some := range slices.Chunk(keys, maxLast) {
		subjects := make([]string, len(some))
		for i, key := range some {
			subjects[i] = prefix + key
		}
		batch, err := jetstreamext.GetLastMsgsFor(ctx, js, "KV_"+bucket, subjects)
		if err != nil {
			return nil, err
		}
		messages, pending, err := drain(batch)
		if err != nil {
			return nil, err
		}
		if pending != "0" {
			return nil, ErrSilent()
		}
		yieldLive(messages, nil, func(m *jetstream.RawStreamMsg, _ error) bool {
			entries[strings.TrimPrefix(m.Subject, prefix)] = m
			return true
		})
	}
	return entries, nil
}

// Live returns the messages that are neither markers of deleted keys nor of expired ones.
func Live(messages []*jetstream.RawStreamMsg) []*jetstream.RawStreamMsg {
	live := make([]*jetstream.RawStreamMsg, 0, len(messages))
	yieldLive(messages, nil, func(m *jetstream.RawStreamMsg, _ error) bool {
		live = append(live, m)
		return true
	})
	return live
}
