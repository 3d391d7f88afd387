package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.RequestStore = (*RequestStore)(nil)

// RequestStore keeps pending requests in the bucket that NoETL knows (wire contract, section
// 11). It is safe for concurrent use.
type RequestStore struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// requestRecord is the value of a request. The first five members are the contract's; where
// it had the session token there is a hash, because nobody needs the token and a bucket is no
// place for one.
type requestRecord struct {
	ClientID     string       `json:"client_id"`
	SessionToken string       `json:"session_token"`
	ExecutionID  noetlwire.ID `json:"execution_id"`
	PlaybookPath string       `json:"playbook_path"`
	CreatedAt    time.Time    `json:"created_at"`
	Attempt      string       `json:"attempt,omitempty"`
	Ended        string       `json:"ended,omitempty"`
	Done         bool         `json:"done,omitempty"`
	Result       string       `json:"result,omitempty"`
}

// NewRequestStore makes the store on the bucket of that name.
func NewRequestStore(js jetstream.JetStream, bucket string, ttl time.Duration, room natskit.Room) *RequestStore {
	return &RequestStore{bucket: room.Bucket(js, natskit.Requests, jetstream.KeyValueConfig{
		Bucket: bucket, Description: "Pending requests of the NoETL gateway.", TTL: ttl, Storage: jetstream.FileStorage,
	})}
}

// Add implements the port.
func (s *RequestStore) Add(ctx context.Context, r fanout.Request) error {
	value, err := encodeRequest(r, 0)
	if err != nil {
		return err
	}
	err = s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, r.ID, value)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyExists) {
		return fault.Wrap(err, fault.Conflict, "request_exists", "this request_id is taken")
	}
	return err
}

// Get implements the port.
func (s *RequestStore) Get(ctx context.Context, id string) (fanout.Request, error) {
	r, _, err := s.get(ctx, id)
	return r, err
}

func (s *RequestStore) get(ctx context.Context, id string) (fanout.Request, uint64, error) {
	entry, err := natskit.Entry(ctx, s.bucket, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return fanout.Request{}, 0, fault.Wrap(err, fault.NotFound, "request_not_found", "Request not found")
	}
	if err != nil {
		return fanout.Request{}, 0, err
	}
	var rec requestRecord
	if err := json.Unmarshal(entry.Value(), &rec); err != nil {
		return fanout.Request{}, 0, fault.Wrap(err, fault.NotFound, "request_not_found", "Request not found")
	}
	return fanout.Request{
		ID:           id,
		ClientID:     rec.ClientID,
		SessionKey:   rec.SessionToken,
		ExecutionID:  string(rec.ExecutionID),
		PlaybookPath: rec.PlaybookPath,
		CreatedAt:    rec.CreatedAt,
		Attempt:      rec.Attempt,
		Ended:        rec.Ended,
		Done:         rec.Done,
		Result:       rec.Result,
	}, entry.Revision(), nil
}

// Bind implements the port.
func (s *RequestStore) Bind(ctx context.Context, id, executionID string) (fanout.Request, error) {
	return s.change(ctx, id, func(r *fanout.Request) bool {
		if r.ExecutionID != "" {
			return false
		}
		r.ExecutionID = executionID
		return true
	})
}

// Keep implements the port.
func (s *RequestStore) Keep(ctx context.Context, id, result string) (fanout.Request, error) {
	return s.change(ctx, id, func(r *fanout.Request) bool {
		if r.Result != "" {
			return false
		}
		r.Result = result
		return true
	})
}

// Finish implements the port.
func (s *RequestStore) Finish(ctx context.Context, id string) (fanout.Request, error) {
	return s.change(ctx, id, func(r *fanout.Request) bool {
		changed := !r.Done
		r.Done = true
		return changed
	})
}

// End implements the port.
func (s *RequestStore) End(ctx context.Context, id, eventType string) (fanout.Request, error) {
	return s.change(ctx, id, func(r *fanout.Request) bool {
		if r.Done || r.Ended != "" {
			return false
		}
		r.Ended = eventType
		return true
	})
}

// change applies an edit with optimistic locking. edit returns false for nothing to do.
func (s *RequestStore) change(ctx context.Context, id string, edit func(*fanout.Request) bool) (fanout.Request, error) {
	for {
		r, revision, err := s.get(ctx, id)
		if err != nil || !edit(&r) {
			return r, err
		}
		value, err := encodeRequest(r, revision)
		if err != nil {
			return r, err
		}
		err = s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
			_, err := kv.Update(ctx, id, value, revision)
			return err
		})
		if !natskit.LostRace(err) {
			return r, err
		}
	}
}

// Remove implements the port.
func (s *RequestStore) Remove(ctx context.Context, id string) error {
	return s.bucket.Do(ctx, func(kv jetstream.KeyValue) error { return kv.Purge(ctx, id) })
}

// recordSize is what a pending request takes from the beginning: the ids, the path and the rest of an ordinary one.
const recordSize = 640

func encodeRequest(r fanout.Request, revision uint64) ([]byte, error) {
	value, err := json.Marshal(requestRecord{ //nolint:gosec // the member holds a hash; see requestRecord
		ClientID:     r.ClientID,
		SessionToken: r.SessionKey,
		ExecutionID:  noetlwire.ID(r.ExecutionID),
		PlaybookPath: r.PlaybookPath,
		CreatedAt:    r.CreatedAt,
		Attempt:      r.Attempt,
		Ended:        r.Ended,
		Done:         r.Done,
		Result:       r.Result,
	})
	return natskit.Pad(value, recordSize, revision), err
}
