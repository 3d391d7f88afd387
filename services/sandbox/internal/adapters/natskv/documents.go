package natskv

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

const (
	documentsBucket = "noetl_documents"
	maxDocuments    = 16 << 20 // bytes: the sandbox must not fill a disk
)

var _ sandbox.Documents = (*Documents)(nil)

// Documents are in a bucket that it binds to, or makes if it is missing. It is safe for concurrent use.
type Documents struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewDocuments makes the documents. It does not need NATS to be there yet.
func NewDocuments(js jetstream.JetStream, replicas int) *Documents {
	return &Documents{bucket: natskit.ForeignBucket(js, jetstream.KeyValueConfig{
		Bucket: documentsBucket, Description: "documents that subscriptions of source kv show",
		Storage: jetstream.FileStorage, History: 1, MaxBytes: maxDocuments, Replicas: replicas,
	})}
}

// Keys lists keys as the bucket has them, which is in the order of their last writes.
func (d *Documents) Keys(ctx context.Context, prefix string) ([]string, error) {
	return natskit.Use(ctx, d.bucket, func(kv jetstream.KeyValue) ([]string, error) {
		lister, err := kv.ListKeysFiltered(ctx, prefix+">")
		if err != nil {
			return nil, err
		}
		var keys []string
		for key := range lister.Keys() {
			keys = append(keys, key)
		}
		return keys, ctx.Err() // a list that was cut short has no other mark
	})
}

// Create stores a document under a key that has none.
func (d *Documents) Create(ctx context.Context, key string, document any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	err = d.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, key, data)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyExists) {
		return fault.Wrap(err, fault.Conflict, "document_exists", "there is such a document")
	}
	return err
}

// Put stores a document.
func (d *Documents) Put(ctx context.Context, key string, document any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return d.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, key, data)
		return err
	})
}

// Remove removes a document.
func (d *Documents) Remove(ctx context.Context, key string) error {
	return d.bucket.Do(ctx, func(kv jetstream.KeyValue) error { return kv.Delete(ctx, key) })
}
