package natskv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.RequestLists = (*RequestLists)(nil)

// RequestLists keeps lists of requests beside the other indexes. It is safe for concurrent use.
type RequestLists struct{ *Routes }

// taskValue is the value of an entry of a task; that of another one is empty.
const taskValue = "t"

// prefix is the first part of the keys of a list. Names become hashes, because an owner may be an email address, which
// no key can hold.
func prefix(l fanout.List) string {
	sum := sha256.Sum256([]byte(l.Name))
	return string(l.Kind) + "." + hex.EncodeToString(sum[:16])
}

// Add implements the port.
func (x RequestLists) Add(ctx context.Context, l fanout.List, r fanout.ListedRequest) error {
	var value []byte
	if r.Task {
		value = []byte(taskValue)
	}
	return x.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, prefix(l)+"."+r.RequestID, value)
		return err
	})
}

// All implements the port.
func (x RequestLists) All(ctx context.Context, l fanout.List) ([]fanout.ListedRequest, error) {
	messages, err := x.under(ctx, prefix(l))
	if err != nil {
		return nil, err
	}
	listed := make([]fanout.ListedRequest, 0, len(messages))
	for _, m := range slices.Backward(messages) {
		listed = append(listed, fanout.ListedRequest{
			RequestID: lastToken(m.Subject), Task: string(m.Data) == taskValue, Revision: m.Sequence,
		})
	}
	return listed, nil
}

// Count implements the port.
func (x RequestLists) Count(ctx context.Context, l fanout.List) (int, error) {
	if _, err := x.bucket.Get(ctx); err != nil {
		return 0, err
	}
	n, err := natskit.Count(ctx, x.js, "KV_"+routesBucket, subject(prefix(l)+".*"))
	if err != nil {
		return 0, x.bucket.AsFault(err)
	}
	return int(n), nil
}

// Trim implements the port.
func (x RequestLists) Trim(ctx context.Context, l fanout.List, newest int) error {
	return x.remove(ctx, prefix(l)+".*", jetstream.WithPurgeKeep(uint64(max(newest, 1))))
}

// Delete implements the port.
func (x RequestLists) Delete(ctx context.Context, l fanout.List, requestID string) error {
	return x.remove(ctx, prefix(l)+"."+requestID)
}
