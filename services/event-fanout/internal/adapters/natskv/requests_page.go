package natskv

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// requestPageBytes bounds one read of requests; an ordinary one takes a kilobyte.
const requestPageBytes = 1 << 20

// Page implements the port.
func (s *RequestStore) Page(ctx context.Context, cursor string, limit int) ([]fanout.Request, string, error) {
	entries, next, err := natskit.Page(ctx, s.js, s.bucket, cursor, limit, requestPageBytes)
	var requests []fanout.Request
	for _, e := range entries {
		if r, err := decodeRequest(e.Key, e.Value, e.Revision); err == nil {
			requests = append(requests, r)
		}
	}
	return requests, next, err
}

// After implements the port.
func (s *RequestStore) After(r fanout.Request) string { return natskit.Cursor(r.Revision) }

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
	return natskit.Cursor(last - back), nil
}
