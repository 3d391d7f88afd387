package natswatches

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// pageBytes bounds one read of records, so that an answer holds them.
const pageBytes = 512 << 10

// Page implements the port: it reads the stream of the bucket from a revision on.
func (s *Records) Page(ctx context.Context, cursor string, limit int) ([]subscriptions.Record, string, error) {
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
		messages, more, err = natskit.Backlog(ctx, s.js, "KV_"+kv.Bucket(), prefix+"*", after, limit, pageBytes)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	var records []subscriptions.Record
	for _, m := range natskit.Live(messages) {
		var r subscriptions.Record
		if json.Unmarshal(m.Data, &r) != nil {
			continue // not one of ours
		}
		r.ID, r.Revision = strings.TrimPrefix(m.Subject, prefix), m.Sequence
		records = append(records, r)
	}
	if !more || len(messages) == 0 {
		return records, "", nil
	}
	return records, strconv.FormatUint(messages[len(messages)-1].Sequence, 10), nil
}
