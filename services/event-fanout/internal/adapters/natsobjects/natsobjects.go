// Package natsobjects keeps results that no frame can hold in a NATS object store.
package natsobjects

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// bucketName is the object store; its stream is OBJ_gateway_results.
const bucketName = "gateway_results"

// Config bounds the store.
type Config struct {
	TTL      time.Duration // how long a result is kept
	MaxBytes int64         // bytes of all results together; what does not fit is refused
	Replicas int
}

var _ fanout.ResultStore = (*ResultStore)(nil)

// ResultStore is the adapter. It is safe for concurrent use.
type ResultStore struct {
	newID  func() string
	bucket *natskit.Lazy[jetstream.ObjectStore]
}

// New makes the store; the bucket is created when it is first needed. newID returns fresh names.
func New(js jetstream.JetStream, cfg Config, newID func() string) *ResultStore {
	wanted := jetstream.ObjectStoreConfig{
		Bucket: bucketName, Description: "Results that are too large for frames of the NoETL gateway.",
		TTL: cfg.TTL, MaxBytes: cfg.MaxBytes, Storage: jetstream.FileStorage, Replicas: cfg.Replicas,
	}
	return &ResultStore{newID: newID, bucket: natskit.Objects(js, wanted)}
}

// source keeps the error of a body apart from those of NATS.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Put implements the port. What an unfinished one left is purged by the client library, or ages out.
func (s *ResultStore) Put(ctx context.Context, body io.Reader) (string, int64, error) {
	bucket, err := s.bucket.Get(ctx)
	if natskit.Full(err) { // it could not be made
		return "", 0, noRoom(err)
	}
	if err != nil {
		return "", 0, err
	}
	from := &source{Reader: body}
	info, err := bucket.Put(ctx, jetstream.ObjectMeta{Name: s.newID()}, from)
	switch {
	case from.err != nil:
		return "", 0, from.err
	case natskit.Full(err):
		return "", 0, noRoom(err)
	case err != nil:
		return "", 0, s.bucket.AsFault(err)
	}
	return info.Name, int64(info.Size), nil //nolint:gosec // bounded by the store
}

func noRoom(err error) error {
	return fault.Wrap(err, fault.TooLarge, "result_store_full", "there is no room for this result")
}

// Get implements the port; the library compares the digest at the end.
func (s *ResultStore) Get(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	object, err := natskit.Use(ctx, s.bucket, func(bucket jetstream.ObjectStore) (jetstream.ObjectResult, error) {
		return bucket.Get(ctx, name)
	})
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, 0, fault.Wrap(err, fault.NotFound, "no_such_result", "this result is no longer kept")
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := object.Info()
	if err != nil {
		return nil, 0, errors.Join(s.bucket.AsFault(err), object.Close())
	}
	return object, int64(info.Size), nil //nolint:gosec // bounded by the store
}

// Remove implements the port.
func (s *ResultStore) Remove(ctx context.Context, name string) error {
	err := s.bucket.Do(ctx, func(bucket jetstream.ObjectStore) error { return bucket.Delete(ctx, name) })
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	return err
}
