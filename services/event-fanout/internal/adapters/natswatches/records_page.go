package natswatches

import (
	"context"
	"encoding/json"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// pageBytes bounds one read of records, so that an answer holds them.
const pageBytes = 512 << 10

// Page implements the port.
func (s *Records) Page(ctx context.Context, cursor string, limit int) ([]subscriptions.Record, string, error) {
	entries, next, err := natskit.Page(ctx, s.js, s.bucket, cursor, limit, pageBytes)
	var records []subscriptions.Record
	for _, e := range entries {
		var r subscriptions.Record
		if json.Unmarshal(e.Value, &r) != nil {
			continue // not one of ours
		}
		r.ID, r.Revision = e.Key, e.Revision
		records = append(records, r)
	}
	return records, next, err
}
