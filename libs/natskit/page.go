package natskit

import (
	"context"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
)

// PageEntry is a live entry of a bucket.
type PageEntry struct {
	Key      string
	Value    []byte
	Revision uint64
}

// Page returns live entries of a bucket whose keys have one token, in the order in which they were last written. It
// reads at most limit entries after the cursor, "" for the first page, and fewer when they have more than maxBytes
// together. next is the cursor of the next page, "" after the last one; what is not a cursor is [BadCursor]. It costs
// what a page holds: it reads the stream of the bucket from a revision on.
func Page(
	ctx context.Context, js jetstream.JetStream, bucket *Lazy[jetstream.KeyValue], cursor string, limit, maxBytes int,
) (entries []PageEntry, next string, err error) {
	var after uint64
	if cursor != "" {
		if after, err = strconv.ParseUint(cursor, 10, 63); err != nil {
			return nil, "", BadCursor()
		}
	}
	var messages []*jetstream.RawStreamMsg
	var more bool
	var prefix string
	err = bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		var err error
		prefix = "$KV." + kv.Bucket() + "."
		messages, more, err = Backlog(ctx, js, "KV_"+kv.Bucket(), prefix+"*", after, limit, maxBytes)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	yieldLive(messages, nil, func(m *jetstream.RawStreamMsg, _ error) bool {
		entries = append(entries, PageEntry{strings.TrimPrefix(m.Subject, prefix), m.Data, m.Sequence})
		return true
	})
	if !more || len(messages) == 0 {
		return entries, "", nil
	}
	return entries, Cursor(messages[len(messages)-1].Sequence), nil
}

// Cursor is the cursor of [Page] that goes on after a revision.
func Cursor(revision uint64) string { return strconv.FormatUint(revision, 10) }

// BadCursor says that a cursor is none that a page had as its next.
func BadCursor() error {
	return fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
}
