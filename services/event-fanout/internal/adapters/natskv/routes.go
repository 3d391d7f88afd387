package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// routesBucket holds the two indexes of pending requests: "x.<execution>.<request>" and
// "c.<client>.<request>". One lookup is one batched direct get on the first part of the key;
// the server finds it by its subject index, whatever else is in the bucket. "m.<execution>" says how far all
// the routes of an execution are, where there are several. It holds the lists of requests too: "o.<owner>.<request>"
// and "s.<session>.<request>", where owner and session are hashes.
const routesBucket = "gateway_routes"

const operationHeader = "KV-Operation" // set on the markers of deleted keys

// Routes are the indexes on one bucket.
type Routes struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
	stream *natskit.Lazy[jetstream.Stream] // of the bucket
}

// NewRoutes makes the indexes; entries live as long as requests do.
func NewRoutes(js jetstream.JetStream, ttl time.Duration, room natskit.Room) *Routes {
	x := &Routes{js: js, bucket: room.Bucket(js, natskit.Routes, jetstream.KeyValueConfig{
		Bucket:      routesBucket,
		Description: "Indexes of the gateway's pending requests.",
		TTL:         ttl,
		Storage:     jetstream.FileStorage,
	})}
	x.stream = natskit.NewLazy(js.Conn(), func(ctx context.Context) (jetstream.Stream, error) {
		if _, err := x.bucket.Get(ctx); err != nil {
			return nil, err
		}
		return js.Stream(ctx, "KV_"+routesBucket)
	})
	return x
}

var _ fanout.RouteIndex = (*RouteIndex)(nil)

// RouteIndex finds requests by execution. It is safe for concurrent use.
type RouteIndex struct{ *Routes }

type routeRecord struct {
	ClientID string `json:"client_id"`
	Through  uint64 `json:"through"`
}

// markRecord is how far all routes are that were last written in the bucket at the sequence Seen or before.
type markRecord struct {
	Through uint64 `json:"through"`
	Seen    uint64 `json:"seen"`
}

// apply moves a route to the mark if the mark counts for it.
func (m markRecord) apply(r fanout.Route) fanout.Route {
	if r.Revision <= m.Seen {
		r.Through = max(r.Through, m.Through)
	}
	return r
}

// Put implements the port.
func (x RouteIndex) Put(ctx context.Context, executionID string, r fanout.Route) (fanout.Route, error) {
	value, err := json.Marshal(routeRecord{ClientID: r.ClientID, Through: r.Through})
	if err != nil {
		return r, err
	}
	r.Revision, err = natskit.Use(ctx, x.bucket, func(kv jetstream.KeyValue) (uint64, error) {
		return kv.Create(ctx, routeKey(executionID, r.RequestID), value)
	})
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return r, err
	}
	there, found, err := x.Get(ctx, executionID, r.RequestID)
	if err == nil && !found { // it was removed in between
		there = r
	}
	return there, err
}

// Get implements the port.
func (x RouteIndex) Get(ctx context.Context, executionID, requestID string) (fanout.Route, bool, error) {
	if _, err := x.bucket.Get(ctx); err != nil {
		return fanout.Route{}, false, err
	}
	messages, err := lastOf(ctx, x.js, "KV_"+routesBucket, []string{
		subject(routeKey(executionID, requestID)), subject(markKey(executionID)),
	})
	if err != nil {
		return fanout.Route{}, false, x.bucket.AsFault(err)
	}
	routes, err := decodeRoutes(executionID, messages)
	if err != nil || len(routes) == 0 {
		return fanout.Route{}, false, err
	}
	return routes[0], true, nil
}

// ByExecution implements the port.
func (x RouteIndex) ByExecution(ctx context.Context, executionID string) ([]fanout.Route, error) {
	messages, err := x.under(ctx, "x."+executionID, markKey(executionID))
	if err != nil {
		return nil, err
	}
	return decodeRoutes(executionID, messages)
}

// decodeRoutes reads the routes of an execution, and the mark if it is among them.
func decodeRoutes(executionID string, messages []*jetstream.RawStreamMsg) ([]fanout.Route, error) {
	var routes []fanout.Route
	var mark markRecord
	for _, m := range messages {
		if m.Subject == subject(markKey(executionID)) {
			if err := json.Unmarshal(m.Data, &mark); err != nil {
				return nil, err
			}
			continue
		}
		var rec routeRecord
		if err := json.Unmarshal(m.Data, &rec); err != nil {
			return nil, err
		}
		routes = append(routes, fanout.Route{
			RequestID: lastToken(m.Subject), ClientID: rec.ClientID, Through: rec.Through, Revision: m.Sequence,
		})
	}
	for i, r := range routes {
		routes[i] = mark.apply(r)
	}
	return routes, nil
}

// AdvanceAll implements the port. The mark is written without a condition: of two replicas that are equally far
// behind each other either may win, and what is stored twice is dropped by the frame log.
func (x RouteIndex) AdvanceAll(ctx context.Context, executionID string, routes []fanout.Route, through uint64) error {
	value, err := json.Marshal(markRecord{Through: through, Seen: newest(routes)})
	if err != nil {
		return err
	}
	return x.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, markKey(executionID), value)
		return err
	})
}

// newest returns the largest revision of the routes.
func newest(routes []fanout.Route) uint64 {
	var revision uint64
	for _, r := range routes {
		revision = max(revision, r.Revision)
	}
	return revision
}

// Advance implements the port.
func (x RouteIndex) Advance(ctx context.Context, executionID string, r fanout.Route) error {
	value, err := json.Marshal(routeRecord{ClientID: r.ClientID, Through: r.Through})
	if err != nil {
		return err
	}
	err = x.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Update(ctx, routeKey(executionID, r.RequestID), value, r.Revision)
		return err
	})
	if natskit.LostRace(err) {
		return nil
	}
	return err
}

// Delete implements the port.
func (x RouteIndex) Delete(ctx context.Context, executionID, requestID string) error {
	return x.remove(ctx, routeKey(executionID, requestID))
}

// DeleteAll implements the port.
func (x RouteIndex) DeleteAll(ctx context.Context, executionID string, routes []fanout.Route) error {
	if len(routes) == 0 {
		return nil
	}
	return x.remove(ctx, "x."+executionID+".*", jetstream.WithPurgeSequence(newest(routes)+1))
}

var _ fanout.PendingIndex = (*PendingIndex)(nil)

// PendingIndex finds requests by client. It is safe for concurrent use.
type PendingIndex struct{ *Routes }

// Add implements the port.
func (x PendingIndex) Add(ctx context.Context, clientID, requestID string) error {
	return x.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, "c."+clientID+"."+requestID, nil)
		return err
	})
}

// List implements the port.
func (x PendingIndex) List(ctx context.Context, clientID string) ([]fanout.PendingRequest, error) {
	messages, err := x.under(ctx, "c."+clientID)
	if err != nil {
		return nil, err
	}
	pending := make([]fanout.PendingRequest, 0, len(messages))
	for _, m := range messages {
		pending = append(pending, fanout.PendingRequest{RequestID: lastToken(m.Subject), Revision: m.Sequence})
	}
	return pending, nil
}

// Delete implements the port.
func (x PendingIndex) Delete(ctx context.Context, clientID, requestID string) error {
	return x.remove(ctx, "c."+clientID+"."+requestID)
}

// DeleteThrough implements the port.
func (x PendingIndex) DeleteThrough(ctx context.Context, clientID string, revision uint64) error {
	return x.remove(ctx, "c."+clientID+".*", jetstream.WithPurgeSequence(revision+1))
}

// remove takes entries out without the marker that deleting a key leaves: markers would be
// read by every lookup until they age out, and the server refuses one that finds 1024.
func (x *Routes) remove(ctx context.Context, key string, bounds ...jetstream.StreamPurgeOpt) error {
	return x.stream.Do(ctx, func(stream jetstream.Stream) error {
		return stream.Purge(ctx, append(bounds, jetstream.WithPurgeSubject(subject(key)))...)
	})
}

// under returns the entries whose key is prefix and one more token, and those of other keys.
func (x *Routes) under(ctx context.Context, prefix string, others ...string) ([]*jetstream.RawStreamMsg, error) {
	if _, err := x.bucket.Get(ctx); err != nil {
		return nil, err
	}
	subjects := []string{subject(prefix + ".*")}
	for _, key := range others {
		subjects = append(subjects, subject(key))
	}
	messages, err := lastOf(ctx, x.js, "KV_"+routesBucket, subjects)
	if errors.Is(err, jetstreamext.ErrBatchUnsupported) { // 413: more than a lookup may find
		messages = nil
		for _, one := range subjects {
			if messages, err = page(ctx, x.js, "KV_"+routesBucket, one, messages); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, x.bucket.AsFault(err)
	}
	return messages, nil
}

// lastOf returns the last messages of the subjects, in the order of the stream and without those that mark deleted
// keys.
func lastOf(
	ctx context.Context, js jetstream.JetStream, stream string, subjects []string,
) ([]*jetstream.RawStreamMsg, error) {
	batch, err := jetstreamext.GetLastMsgsFor(ctx, js, stream, subjects)
	if err != nil {
		return nil, err
	}
	var messages []*jetstream.RawStreamMsg
	rest := ""
	for m, err := range batch {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, nil
		case err != nil:
			return nil, err
		}
		rest = m.Header.Get("Nats-Num-Pending")
		if m.Header.Get(operationHeader) == "" && m.Header.Get("Nats-Marker-Reason") == "" {
			messages = append(messages, m)
		}
	}
	if rest != "0" { // the iterator ends without a word when NATS does not answer
		return nil, natskit.ErrSilent()
	}
	return messages, nil
}

// page appends the entries of a subject that has more than the server gives in one answer. It
// costs more, and only the client that has so many pays it.
func page(
	ctx context.Context, js jetstream.JetStream, stream, subject string, messages []*jetstream.RawStreamMsg,
) ([]*jetstream.RawStreamMsg, error) {
	for after, more := uint64(0), true; more; {
		var some []*jetstream.RawStreamMsg
		var err error
		if some, more, err = natskit.Backlog(ctx, js, stream, subject, after, pageSize, pageBytes); err != nil {
			return nil, err
		}
		for _, m := range some {
			after = m.Sequence
			if m.Header.Get(operationHeader) == "" {
				messages = append(messages, m)
			}
		}
	}
	return messages, nil
}

const (
	pageSize  = 512
	pageBytes = 1 << 20
)

func subject(key string) string { return "$KV." + routesBucket + "." + key }

func markKey(executionID string) string { return "m." + executionID }

func routeKey(executionID, requestID string) string { return "x." + executionID + "." + requestID }

func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
