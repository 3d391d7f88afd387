// Package natskv keeps in JetStream which deliveries were dispatched.
package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Bucket holds the claims; only ingress uses it.
const Bucket = "gateway_ingress_claims"

var _ ingress.ClaimStore = (*ClaimStore)(nil)

// ClaimStore is the adapter. It is safe for concurrent use.
type ClaimStore struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// record is the value of a claim. Without an execution it is a lease.
type record struct {
	ExecutionID string    `json:"execution_id,omitempty"`
	Until       time.Time `json:"until,omitzero"`
}

// recordSize is what a claim takes from the beginning: an execution id of 64 characters fits.
const recordSize = 112

// NewClaimStore makes the store; ttl is how long a dispatched delivery is remembered.
func NewClaimStore(js jetstream.JetStream, ttl time.Duration, room natskit.Room) *ClaimStore {
	return &ClaimStore{js: js, bucket: room.Bucket(js, natskit.Claims, jetstream.KeyValueConfig{
		Bucket:      Bucket,
		Description: "Deliveries that the NoETL gateway dispatched.",
		TTL:         ttl,
		Storage:     jetstream.FileStorage,
	})}
}

// Storage returns a check that NATS stores, for readiness.
func (s *ClaimStore) Storage() *natskit.Storage { return natskit.NewStorage(s.js, s.bucket) }

// Claim implements the port.
func (s *ClaimStore) Claim(ctx context.Context, key string, lease time.Duration) (ingress.Claim, error) {
	claim := ingress.Claim{Key: key, State: ingress.ClaimBusy}
	value, err := json.Marshal(record{Until: time.Now().Add(lease)})
	if err != nil {
		return claim, err
	}
	padded := natskit.Pad(value, recordSize, 0)
	revision, err := natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) (uint64, error) {
		return kv.Create(ctx,
			key, padded)
	})
	won, err := natskit.Won(err)
	switch {
	case natskit.Full(err):
		return claim, ingress.ClaimsFull(err)
	case err != nil:
		return claim, err
	case won:
		claim.State, claim.Revision = ingress.ClaimTaken, revision
		return claim, nil
	}
	entry, err := natskit.Entry(ctx, s.bucket, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return claim, nil // released this moment: ask again
	}
	if err != nil {
		return claim, err
	}
	var held record
	if err := json.Unmarshal(entry.Value(), &held); err != nil {
		held = record{} // nobody's: taken over below
	}
	switch {
	case held.ExecutionID != "":
		claim.State, claim.ExecutionID = ingress.ClaimSettled, held.ExecutionID
		return claim, nil
	case time.Now().Before(held.Until):
		return claim, nil
	}
	// Whoever had the lease is gone. One of those who find out gets it.
	padded = natskit.Pad(value, recordSize, entry.Revision())
	revision, err = natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) (uint64, error) {
		return kv.Update(ctx, key, padded, entry.Revision())
	})
	won, err = natskit.Won(err)
	if won {
		claim.State, claim.Revision = ingress.ClaimTaken, revision
	}
	return claim, err
}

// Settle implements the port.
func (s *ClaimStore) Settle(ctx context.Context, c ingress.Claim, executionID string) error {
	value, err := json.Marshal(record{ExecutionID: executionID})
	if err != nil {
		return err
	}
	padded := natskit.Pad(value, recordSize, c.Revision)
	return s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Update(ctx, c.Key, padded, c.Revision)
		return err
	})
}

// Release implements the port. A claim that somebody else has by now stays theirs.
func (s *ClaimStore) Release(ctx context.Context, c ingress.Claim) error {
	err := s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		return kv.Delete(ctx, c.Key, jetstream.LastRevision(c.Revision))
	})
	_, err = natskit.Won(err)
	return err
}
