// Package natsdocuments watches documents in a key-value bucket of NATS that others write.
package natsdocuments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

var _ subscriptions.WatchSource = (*Source)(nil)

// Source watches one bucket. The path chat_threads/42/messages is the collection of the keys chat_threads.42.messages.*
// and chat_threads/42 the document of that key. It never writes. It is safe for concurrent use.
type Source struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// New makes the source on a bucket, which may not be there yet.
func New(js jetstream.JetStream, bucket string) *Source {
	return &Source{js: js, bucket: natskit.NewLazy(js.Conn(), func(ctx context.Context) (jetstream.KeyValue, error) {
		return js.KeyValue(ctx, bucket)
	})}
}

// Name implements the port.
func (s *Source) Name() string { return fanoutwire.SourceKV }

// Complete implements the port.
func (s *Source) Complete() bool { return true }

// CheckPath implements the port. The segments become parts of a key.
func (s *Source) CheckPath(path string) error {
	if err := subscriptions.CheckPath(path); err != nil {
		return err
	}
	for _, r := range path {
		if !plain(r) {
			return fault.New(fault.Invalid, "bad_path", fmt.Sprintf(
				"path has the character %q: a segment of the source kv has letters, digits, -, _ and = only", r))
		}
	}
	return nil
}

// plain reports whether a character can be a part of a key, or separates segments.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/_-=", r)
}

// How often a bucket is looked for: one that is there, which may be deleted, and one that is not there yet.
const (
	lookAgain = 5 * time.Second
	lookFor   = time.Second
)

// Watch implements the port.
func (s *Source) Watch(ctx context.Context, path string, emit func(subscriptions.Change)) error {
	if err := s.CheckPath(path); err != nil {
		return err
	}
	reconnected := s.js.Conn().StatusChanged(nats.CONNECTED)
	defer s.js.Conn().RemoveStatusListener(reconnected)
	key := strings.ReplaceAll(path, "/", ".")
	if strings.Count(path, "/")%2 == 0 {
		key += ".*"
	}
	kv, ready, err := s.open(ctx, emit)
	if err != nil || ctx.Err() != nil {
		return asEnd(ctx, err)
	}
	all, err := kv.Watch(ctx, key)
	if err != nil {
		return asEnd(ctx, s.bucket.AsFault(err))
	}
	defer func() { go func() { _ = all.Stop() }() }()
	check := time.NewTicker(lookAgain)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reconnected:
			return fault.New(fault.Unavailable, "nats_reconnected", "NATS was unavailable")
		case <-check.C:
			if _, err := kv.Status(ctx); errors.Is(err, jetstream.ErrBucketNotFound) {
				return s.bucket.AsFault(err)
			}
		case e, open := <-all.Updates():
			switch {
			case !open:
				return asEnd(ctx, fault.New(fault.Unavailable, "watch_ended", "the watch of the bucket ended"))
			case e == nil && ready:
			case e == nil:
				emit(subscriptions.Change{Op: subscriptions.Ready})
			default:
				emit(change(e))
			}
		}
	}
}

// open returns the bucket. One that is not there has no documents, which it tells, until somebody makes it.
func (s *Source) open(
	ctx context.Context, emit func(subscriptions.Change),
) (kv jetstream.KeyValue, ready bool, err error) {
	kv, err = s.bucket.Get(ctx)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, false, err
	}
	emit(subscriptions.Change{Op: subscriptions.Ready})
	tick := time.NewTicker(lookFor)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, true, nil
		case <-tick.C:
			if kv, err = s.bucket.Get(ctx); !errors.Is(err, jetstream.ErrBucketNotFound) {
				return kv, true, err
			}
		}
	}
}

func asEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // nobody asks any more
	}
	return err
}

// change reads an entry. What is no JSON is told as a text, so that it is seen.
func change(e jetstream.KeyValueEntry) subscriptions.Change {
	id := e.Key()[strings.LastIndexByte(e.Key(), '.')+1:]
	c := subscriptions.Change{DocID: id, Op: subscriptions.Put, Version: strconv.FormatUint(e.Revision(), 10)}
	switch {
	case e.Operation() != jetstream.KeyValuePut:
		c.Op, c.Version = subscriptions.Remove, ""
	case json.Valid(e.Value()):
		c.Data = e.Value()
	default:
		c.Data, _ = json.Marshal(string(e.Value()))
	}
	return c
}
