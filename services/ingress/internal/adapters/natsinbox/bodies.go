package natsinbox

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

func (s *Store) putBody(ctx context.Context, d *ingress.Delivery) error {
	name := s.NewID()
	err := s.bodies.Do(ctx, func(bucket jetstream.ObjectStore) error {
		_, err := bucket.PutBytes(ctx, name, d.Body)
		return err
	})
	if natskit.Full(err) {
		return ingress.InboxFull(err)
	}
	d.Object = name
	return err
}

// dropTime bounds the removal of a body that nobody needs; what is left ages out.
const dropTime = 2 * time.Second

func (s *Store) dropBody(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	_ = s.bodies.Do(ctx, func(bucket jetstream.ObjectStore) error { return bucket.Delete(ctx, name) })
}

// Body implements the port; the library compares the digest.
func (s *Store) Body(ctx context.Context, d ingress.Delivery) ([]byte, error) {
	if d.Object == "" {
		return bytes.Clone(d.Body), nil
	}
	body, err := natskit.Use(ctx, s.bodies, func(bucket jetstream.ObjectStore) ([]byte, error) {
		return bucket.GetBytes(ctx, d.Object)
	})
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, gone(err)
	}
	return body, err
}
