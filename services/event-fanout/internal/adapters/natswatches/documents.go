package natswatches

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

var _ subscriptions.Documents = (*Documents)(nil)

// Documents is the bucket of what is known of documents. It is safe for concurrent use.
type Documents struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewDocuments makes the store.
func NewDocuments(js jetstream.JetStream, room natskit.Room) *Documents {
	return &Documents{js: js, bucket: room.Bucket(js, natskit.Documents, jetstream.KeyValueConfig{
		Bucket: string(natskit.Documents), Description: "What clients of the NoETL gateway know of documents.",
		Storage: jetstream.FileStorage,
	})}
}

// keyOf returns the key of a document. Ids of documents may have any characters.
func keyOf(watch, doc string) string {
	sum := sha256.Sum256([]byte(doc))
	return watch + "." + hex.EncodeToString(sum[:16])
}

// Load implements the port.
func (s *Documents) Load(
	ctx context.Context, watch string,
) (known []subscriptions.Known, sent uint64, err error) {
	known, err = natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) ([]subscriptions.Known, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTime)
		defer cancel()
		all, err := kv.Watch(ctx, watch+".*", jetstream.IgnoreDeletes())
		if err != nil {
			return nil, err
		}
		defer func() { go func() { _ = all.Stop() }() }()
		var list []subscriptions.Known
		for {
			select {
			case <-ctx.Done():
				return nil, natskit.AsFault(ctx.Err())
			case e, open := <-all.Updates():
				if !open {
					return nil, fault.New(fault.Unavailable, "documents_unread",
						"the known documents could not be read")
				}
				if e == nil {
					return list, nil
				}
				if e.Key() == watch+sentKey {
					sent, _ = strconv.ParseUint(string(e.Value()), 10, 64)
					continue
				}
				k := subscriptions.Known{}
				if json.Unmarshal(e.Value(), &k) == nil {
					k.Revision = e.Revision()
					list = append(list, k)
				}
			}
		}
	})
	return known, sent, err
}

// sentKey after a watch is the key of the last revision whose frames are stored.
const sentKey = ".sent"

// Sent implements the port: it publishes and does not wait.
func (s *Documents) Sent(watch string, revision uint64) {
	key := "$KV." + string(natskit.Documents) + "." + watch + sentKey
	_ = s.js.Conn().Publish(key, []byte(strconv.FormatUint(revision, 10)))
}

// loadTime bounds the reading of one watch.
const loadTime = 15 * time.Second

// Save implements the port. The writes do not wait for each other.
func (s *Documents) Save(ctx context.Context, watch string, known []subscriptions.Known) ([]uint64, error) {
	return natskit.Use(ctx, s.bucket, func(jetstream.KeyValue) ([]uint64, error) {
		revisions := make([]uint64, len(known))
		acks := make([]jetstream.PubAckFuture, len(known))
		for i, k := range known {
			value, err := json.Marshal(k)
			if err != nil {
				return nil, err
			}
			m := nats.NewMsg("$KV." + string(natskit.Documents) + "." + keyOf(watch, k.DocID))
			m.Data = value
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(k.Revision, 10))
			if acks[i], err = s.js.PublishMsgAsync(m); err != nil {
				return nil, err
			}
		}
		var problem error
		for i, ack := range acks {
			select {
			case <-ctx.Done():
				return nil, natskit.AsFault(ctx.Err())
			case stored := <-ack.Ok():
				revisions[i] = stored.Sequence
			case err := <-ack.Err():
				if natskit.LostRace(err) {
					err = s.confirm(ctx, watch, known[i], &revisions[i], err)
				}
				if err != nil && problem == nil {
					problem = err
				}
			}
		}
		return revisions, problem
	})
}

// confirm looks whether a lost race was lost against our own write, whose answer did not come.
func (s *Documents) confirm(
	ctx context.Context, watch string, k subscriptions.Known, revision *uint64, lost error,
) error {
	entry, err := natskit.Entry(ctx, s.bucket, keyOf(watch, k.DocID))
	if err == nil {
		have := subscriptions.Known{}
		want := k
		want.Revision = 0
		if json.Unmarshal(entry.Value(), &have) == nil && have == want {
			*revision = entry.Revision()
			return nil
		}
	}
	return fault.Wrap(lost, fault.Conflict, "watch_lost", "another replica owns the watch")
}

// Forget implements the port.
func (s *Documents) Forget(ctx context.Context, watch string, docIDs []string) error {
	for _, id := range docIDs {
		if err := s.purge(ctx, keyOf(watch, id)); err != nil {
			return err
		}
	}
	return nil
}

// Clear implements the port.
func (s *Documents) Clear(ctx context.Context, watch string) error { return s.purge(ctx, watch+".>") }

// purge leaves no mark: what comes under the key later is new.
func (s *Documents) purge(ctx context.Context, keys string) error {
	return s.bucket.Do(ctx, func(jetstream.KeyValue) error {
		stream, err := s.js.Stream(ctx, "KV_"+string(natskit.Documents))
		if err != nil {
			return err
		}
		return stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+string(natskit.Documents)+"."+keys))
	})
}
