package natskv

import (
	"context"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// requestPageBytes bounds one read of requests; an ordinary one takes a kilobyte.
const requestPageBytes = 1 << 20

// Page implements the port: it reads the stream of the bucket from a revision on.
func (s *RequestStore) Page(ctx context.Context, cursor string, limit int) ([]fanout.Request, string, error) {
	var after uint64
	if cursor != "" {
		var err error
		if after, err = strconv.ParseUint(cursor, 10, 63); err != nil {
			return nil, "", fault.Wrap(err, fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
		}
	}
	var messages []*jetstream.RawStreamMsg
	var more bool
	var prefix string
	err := s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		var err error
		prefix = "$KV." + kv.Bucket() + "."
		messages, more, err = natskit.Backlog(
			ctx, s.js, "KV_"+kv.Bucket(), prefix+"*", after, limit, requestPageBytes)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	var requests []fanout.Request
	for _, m := range natskit.Live(messages) {
		if r, err := decodeRequest(strings.TrimPrefix(m.Subject, prefix), m.Data, m.Sequence); err == nil {
			requests = append(requests, r)
		}
	}
	if !more || len(messages) == 0 {
		return requests, "", nil
	}
	return requests, strconv.FormatUint(messages[len(messages)-1].Sequence, 10), nil
}

// After implements the port.
func (s *RequestStore) After(r fanout.Request) string { return strconv.FormatUint(r.Revision, 10) }

// Newest implements the port. Each change of a request takes a place in the stream, so there may be far fewer.
func (s *RequestStore) Newest(ctx context.Context, n int) (string, error) {
	last, err := natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) (uint64, error) {
		stream, err := s.js.Stream(ctx, "KV_"+kv.Bucket())
		if err != nil {
			return 0, err
		}
		return stream.CachedInfo().State.LastSeq, nil
	})
	back := uint64(n) //nolint:gosec // not negative
	if err != nil || last <= back {
		return "", err
	}
	return strconv.FormatUint(last-back, 10), nil
}
