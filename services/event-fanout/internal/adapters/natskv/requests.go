package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/recent"
)

var _ fanout.RequestStore = (*RequestStore)(nil)

// RequestStore keeps pending requests in the bucket that NoETL knows (wire contract, section
// 11). It is safe for concurrent use.
type RequestStore struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
	fresh  *recent.Cache[string, fanout.Request]
	ttl    time.Duration // the setting
	kept   *recent.Cache[struct{}, time.Duration]
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
	Owner        string       `json:"owner,omitempty"`
	TraceID      string       `json:"trace_id,omitempty"`
	Kept         bool         `json:"kept,omitempty"`
	Listed       bool         `json:"listed,omitempty"`
}

// NewRequestStore makes the store on the bucket of that name.
func NewRequestStore(js jetstream.JetStream, bucket string, ttl time.Duration, room natskit.Room) *RequestStore {
	cfg := jetstream.KeyValueConfig{
		Bucket: bucket, Description: "Pending requests of the NoETL gateway.", TTL: ttl, Storage: jetstream.FileStorage,
	}
	return &RequestStore{
		js:     js,
		bucket: room.Bucket(js, natskit.Requests, cfg),
		fresh:  recent.New[string, fanout.Request](freshFor, maxFresh),
		ttl:    ttl,
		kept:   recent.New[struct{}, time.Duration](ttlFor, 1),
	}
}

// ttlFor is how long this process relies on what it has read of the TTL of buckets.
const ttlFor = time.Minute

// TTL implements the port. A bucket that exists keeps the one that it was made with, whatever the setting is now; what
// leads to a request is in another one.
func (s *RequestStore) TTL(ctx context.Context) time.Duration {
	now := time.Now()
	if ttl, known := s.kept.Get(struct{}{}, now); known {
		return ttl
	}
	ttl := s.ttl
	if requests, err := natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) (time.Duration, error) {
		return ttlOf(ctx, kv)
	}); err == nil {
		ttl = requests
	}
	if kv, err := s.js.KeyValue(ctx, routesBucket); err == nil {
		if routes, err := ttlOf(ctx, kv); err == nil {
			ttl = min(ttl, routes)
		}
	}
	s.kept.Put(struct{}{}, ttl, now) // also what could not be read: it costs a wait
	return ttl
}

func ttlOf(ctx context.Context, kv jetstream.KeyValue) (time.Duration, error) {
	status, err := kv.Status(ctx)
	if err != nil {
		return 0, err
	}
	if status.TTL() <= 0 {
		return math.MaxInt64, nil
	}
	return status.TTL(), nil
}

// Add implements the port.
func (s *RequestStore) Add(ctx context.Context, r fanout.Request) error {
	value, err := encodeRequest(r, 0)
	if err != nil {
		return err
	}
	r.Revision, err = natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) (uint64, error) {
		return kv.Create(ctx, r.ID, value)
	})
	if errors.Is(err, jetstream.ErrKeyExists) {
		return fault.Wrap(err, fault.Conflict, "request_exists", "this request_id is taken")
	}
	if err == nil {
		r.StoredAt = time.Now()
		s.fresh.Put(r.ID, r, r.StoredAt)
	}
	return err
}

// What this process has added or bound is remembered for a while, so that what comes next does not read it. What
// somebody else changed meanwhile has another revision.
const (
	freshFor = 30 * time.Second
	maxFresh = 8192
)

// Recent implements the port.
func (s *RequestStore) Recent(id string) (fanout.Request, bool) {
	r, found := s.fresh.Get(id, time.Now())
	return r, found && r.ExecutionID != ""
}

// Get implements the port.
func (s *RequestStore) Get(ctx context.Context, id string) (fanout.Request, error) {
	entry, err := natskit.Entry(ctx, s.bucket, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return fanout.Request{}, errRequestNotFound(err)
	}
	if err != nil {
		return fanout.Request{}, err
	}
	r, err := decodeRequest(id, entry.Value(), entry.Revision())
	if err != nil {
		return fanout.Request{}, errRequestNotFound(err)
	}
	r.StoredAt = entry.Created()
	return r, nil
}

func errRequestNotFound(err error) error {
	return fault.Wrap(err, fault.NotFound, "request_not_found", "Request not found")
}

// maxReading bounds how many requests one call reads concurrently.
const maxReading = 16

// Several implements the port. One batched get would do, but NATS users of earlier builds may not ask for one here.
func (s *RequestStore) Several(ctx context.Context, ids []string) ([]fanout.Request, error) {
	requests, errs := make([]fanout.Request, len(ids)), make([]error, len(ids))
	var reading sync.WaitGroup
	slots := make(chan struct{}, maxReading)
	for i, id := range ids {
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			requests[i], errs[i] = s.Get(ctx, id)
		})
	}
	reading.Wait()
	known := make([]fanout.Request, 0, len(ids))
	for i, err := range errs {
		kind, failed := fault.KindOf(err)
		if failed && kind != fault.NotFound {
			return nil, err
		}
		if !failed {
			known = append(known, requests[i])
		}
	}
	return known, nil
}

// Bind implements the port.
func (s *RequestStore) Bind(ctx context.Context, r fanout.Request, executionID string) (fanout.Request, error) {
	if added, fresh := s.fresh.Get(r.ID, time.Now()); fresh && r.Revision == 0 {
		r = added
	}
	s.fresh.Delete(r.ID)
	r, err := s.change(ctx, r, func(r *fanout.Request) bool {
		if r.ExecutionID != "" {
			return false
		}
		r.ExecutionID = executionID
		return true
	})
	if err == nil && r.Pending() {
		s.fresh.Put(r.ID, r, time.Now())
	}
	return r, err
}

// Keep implements the port.
func (s *RequestStore) Keep(ctx context.Context, r fanout.Request, result string) (fanout.Request, error) {
	return s.change(ctx, r, func(r *fanout.Request) bool {
		if r.Result != "" {
			return false
		}
		r.Result = result
		return true
	})
}

// Finish implements the port.
func (s *RequestStore) Finish(ctx context.Context, r fanout.Request) (fanout.Request, error) {
	return s.change(ctx, r, func(r *fanout.Request) bool {
		changed := !r.Done
		r.Done = true
		return changed
	})
}

// End implements the port.
func (s *RequestStore) End(ctx context.Context, r fanout.Request, eventType string) (fanout.Request, error) {
	return s.change(ctx, r, func(r *fanout.Request) bool {
		if !r.Pending() {
			return false
		}
		r.Ended = eventType
		return true
	})
}

// Renew implements the port.
func (s *RequestStore) Renew(ctx context.Context, r fanout.Request) (fanout.Request, error) {
	return s.change(ctx, r, func(*fanout.Request) bool { return true })
}

// change applies an edit with optimistic locking, at first to what the caller has read. edit returns false for
// nothing to do.
func (s *RequestStore) change(
	ctx context.Context, r fanout.Request, edit func(*fanout.Request) bool,
) (fanout.Request, error) {
	for {
		var err error
		if r.Revision == 0 {
			if r, err = s.Get(ctx, r.ID); err != nil {
				return r, err
			}
		}
		before := r
		if !edit(&r) {
			return r, nil
		}
		s.fresh.Delete(r.ID)
		value, err := encodeRequest(r, r.Revision)
		if err != nil {
			return before, err
		}
		revision, err := natskit.Use(ctx, s.bucket, func(kv jetstream.KeyValue) (uint64, error) {
			return kv.Update(ctx, r.ID, value, r.Revision)
		})
		if err == nil {
			r.Revision, r.StoredAt = revision, time.Now()
			return r, nil
		}
		if !natskit.LostRace(err) {
			return before, err
		}
		r.Revision = 0
	}
}

// Remove implements the port.
func (s *RequestStore) Remove(ctx context.Context, id string) error {
	s.fresh.Delete(id)
	return s.bucket.Do(ctx, func(kv jetstream.KeyValue) error { return kv.Purge(ctx, id) })
}

// recordSize is what a pending request takes from the beginning, in bytes. It has room for the ids, an ordinary path,
// the longest email address as the owner, and what is known only when the request is bound or done.
const recordSize = 1024

func decodeRequest(id string, value []byte, revision uint64) (fanout.Request, error) {
	var rec requestRecord
	err := json.Unmarshal(value, &rec)
	ofTask := fanout.OfTask(rec.ClientID)
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
		Owner:        rec.Owner,
		TraceID:      rec.TraceID,
		Kept:         rec.Kept || ofTask, // a replica of an earlier build that changes a record forgets both
		Listed:       rec.Listed || ofTask,
		Revision:     revision,
	}, err
}

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
		Owner:        r.Owner,
		TraceID:      r.TraceID,
		Kept:         r.Kept,
		Listed:       r.Listed,
	})
	return natskit.Pad(value, recordSize, revision), err
}
