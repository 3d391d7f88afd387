package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// routesBucket holds the two indexes of pending requests: "x.<execution>.<request>" and
// "c.<client>.<request>". One look-up is one batched direct get on the first part of the key;
// the server finds it by its subject index, whatever else is in the bucket.
const routesBucket = "gateway_routes"

const operationHeader = "KV-Operation" // set on the markers of deleted keys

// Routes are the indexes on one bucket.
type Routes struct {
	js     jetstream.JetStream
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewRoutes makes the indexes; entries live as long as requests do.
func NewRoutes(js jetstream.JetStream, ttl time.Duration, room natskit.Room) *Routes {
	return &Routes{js: js, bucket: room.Bucket(js, natskit.Routes, jetstream.KeyValueConfig{
		Bucket:      routesBucket,
		Description: "Indexes of the gateway's pending requests.",
		TTL:         ttl,
		Storage:     jetstream.FileStorage,
	})}
}

var _ fanout.RouteIndex = (*RouteIndex)(nil)

// RouteIndex finds requests by execution. It is safe for concurrent use.
type RouteIndex struct{ *Routes }

type routeRecord struct {
	ClientID string `json:"client_id"`
	Through  uint64 `json:"through"`
}

// Put implements the port.
func (x RouteIndex) Put(ctx context.Context, executionID string, r fanout.Route) error {
	value, err := json.Marshal(routeRecord{ClientID: r.ClientID, Through: r.Through})
	if err != nil {
		return err
	}
	err = x.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, routeKey(executionID, r.RequestID), value)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil
	}
	return err
}

// Get implements the port.
func (x RouteIndex) Get(ctx context.Context, executionID, requestID string) (fanout.Route, bool, error) {
	entry, err := natskit.Entry(ctx, x.bucket, routeKey(executionID, requestID))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return fanout.Route{}, false, nil
	}
	if err != nil {
		return fanout.Route{}, false, err
	}
	var rec routeRecord
	if err := json.Unmarshal(entry.Value(), &rec); err != nil {
		return fanout.Route{}, false, err
	}
	return fanout.Route{
		RequestID: requestID,
		ClientID:  rec.ClientID,
		Through:   rec.Through,
		Revision:  entry.Revision(),
	}, true, nil
}

// ByExecution implements the port.
func (x RouteIndex) ByExecution(ctx context.Context, executionID string) ([]fanout.Route, error) {
	var routes []fanout.Route
	for m, err := range x.under(ctx, "x."+executionID) {
		if err != nil {
			return nil, err
		}
		var rec routeRecord
		if err := json.Unmarshal(m.Data, &rec); err != nil {
			return nil, err
		}
		routes = append(
			routes,
			fanout.Route{
				RequestID: lastToken(m.Subject),
				ClientID:  rec.ClientID,
				Through:   rec.Through,
				Revision:  m.Sequence,
			},
		)
	}
	return routes, nil
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
func (x PendingIndex) List(ctx context.Context, clientID string) ([]string, error) {
	var ids []string
	for m, err := range x.under(ctx, "c."+clientID) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, lastToken(m.Subject))
	}
	return ids, nil
}

// Delete implements the port.
func (x PendingIndex) Delete(ctx context.Context, clientID, requestID string) error {
	return x.remove(ctx, "c."+clientID+"."+requestID)
}

// remove takes an entry out without the marker that deleting a key leaves: markers would be
// read by every look-up until they age out, and the server refuses one that finds 1024.
func (x *Routes) remove(ctx context.Context, key string) error {
	return x.bucket.Do(ctx, func(jetstream.KeyValue) error {
		stream, err := x.js.Stream(ctx, "KV_"+routesBucket)
		if err != nil {
			return err
		}
		return stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+routesBucket+"."+key))
	})
}

// under yields the live entries whose key is prefix and one more token.
func (x *Routes) under(ctx context.Context, prefix string) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		if _, err := x.bucket.Get(ctx); err != nil {
			yield(nil, err)
			return
		}
		messages, err := jetstreamext.GetLastMsgsFor(
			ctx, x.js, "KV_"+routesBucket, []string{"$KV." + routesBucket + "." + prefix + ".*"},
		)
		if err != nil {
			yield(nil, x.bucket.AsFault(err))
			return
		}
		rest := ""
		for m, err := range messages {
			switch {
			case errors.Is(err, jetstreamext.ErrNoMessages):
				return
			case errors.Is(err, jetstreamext.ErrBatchUnsupported): // 413: more than a look-up may find
				x.page(ctx, prefix, yield)
				return
			case err != nil:
				yield(nil, x.bucket.AsFault(err))
				return
			}
			rest = m.Header.Get("Nats-Num-Pending")
			switch {
			case m.Header.Get(operationHeader) != "" || m.Header.Get("Nats-Marker-Reason") != "":
				continue
			}
			if !yield(m, nil) {
				return
			}
		}
		if rest != "0" { // the iterator ends without a word when NATS does not answer
			yield(nil, natskit.ErrSilent())
		}
	}
}

// page yields the same for a prefix that has more entries than the server gives at once. It
// costs more, and only the client that has so many pays it.
func (x *Routes) page(ctx context.Context, prefix string, yield func(*jetstream.RawStreamMsg, error) bool) {
	after, rest := uint64(0), ""
	for rest != "0" {
		messages, err := jetstreamext.GetBatch(ctx, x.js, "KV_"+routesBucket, pageSize,
			jetstreamext.GetBatchSubject("$KV."+routesBucket+"."+prefix+".*"), jetstreamext.GetBatchSeq(after+1))
		if err != nil {
			yield(nil, x.bucket.AsFault(err))
			return
		}
		seen := after
		for m, err := range messages {
			switch {
			case errors.Is(err, jetstreamext.ErrNoMessages):
				return
			case err != nil:
				yield(nil, x.bucket.AsFault(err))
				return
			}
			after, rest = m.Sequence, m.Header.Get("Nats-Num-Pending")
			if m.Header.Get(operationHeader) == "" && !yield(m, nil) {
				return
			}
		}
		if after == seen {
			yield(nil, natskit.ErrSilent())
			return
		}
	}
}

const pageSize = 512

func routeKey(executionID, requestID string) string { return "x." + executionID + "." + requestID }

func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
