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

// requestPageBytes bounds one read of requests; one takes less than a kilobyte.
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
