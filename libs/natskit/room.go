package natskit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
)

// Store names a key-value bucket of the gateway by what it holds; where no setting says otherwise
// it is the bucket's name.
type Store string

// The buckets.
const (
	Sessions      Store = "sessions"
	LocalSessions Store = "gateway_auth_sessions"
	Logins        Store = "gateway_auth_logins"
	Flows         Store = "gateway_auth_flows"
	Bearers       Store = "gateway_auth_bearers"
	Revoked       Store = "gateway_revoked"
	Requests      Store = "requests"
	Routes        Store = "gateway_routes"
	Clients       Store = "gateway_clients"
	Tickets       Store = "gateway_tickets"
	Sources       Store = "gateway_sources"
	Controls      Store = "gateway_ingress_control"
	Subscriptions Store = "gateway_subscriptions"
	Documents     Store = "gateway_documents"
)

// shares divide GATEWAY_STORE_MAX_BYTES. What callers can make grow and what must always find room
// are in different buckets, so that a flood of one fills its own share and stops nothing else. A
// full bucket refuses what is new: a bucket that forgot would forget sessions and revocations.
//
//nolint:gochecknoglobals // a constant table
var shares = map[Store]int64{
	Controls:      8,
	Documents:     6,
	Clients:       8,
	Logins:        8,
	Requests:      6,
	Routes:        6,
	Sessions:      6,
	LocalSessions: 6,
	Revoked:       4,
	Flows:         2,
	Subscriptions: 2,
	Sources:       1,
	Tickets:       1,
}

// allShares is the sum of shares.
const allShares = 64

// onTop are shares that come on top of GATEWAY_STORE_MAX_BYTES, of buckets that are made with the first use of what not
// everybody switches on. Taken from the others, they would change the bounds of buckets that exist, and operators who
// use nothing of it would have to change these.
//
//nolint:gochecknoglobals // a constant table
var onTop = map[Store]int64{
	Bearers: 1,
}

// Bounds of GATEWAY_STORE_MAX_BYTES. With less, the smallest bucket could not hold a busy minute.
const (
	defaultStoreBytes = 1 << 30
	minStoreBytes     = 16 << 20
)

// Optional reports whether a bucket is only made where something is switched on, and is not part of the whole.
func (s Store) Optional() bool { return onTop[s] > 0 }

// Stores returns every bucket that has a share.
func Stores() []Store {
	return []Store{
		Sessions, LocalSessions, Logins, Flows, Bearers, Revoked, Requests, Routes, Clients, Tickets, Sources, Controls,
		Subscriptions, Documents,
	}
}

// Room is what the buckets of one process may hold. The zero value is one replica and the default size.
type Room struct {
	Replicas int
	Bytes    int64        // of all buckets together, in one replica
	Logger   *slog.Logger // gets a note of a bucket that has another bound; nil for none
}

// Room returns the room that the settings give.
func (c Config) Room(logger *slog.Logger) Room {
	return Room{Replicas: c.Replicas, Bytes: c.StoreBytes, Logger: logger}
}

// Of returns how many bytes a bucket may hold.
func (r Room) Of(s Store) int64 {
	total := r.Bytes
	if total == 0 {
		total = defaultStoreBytes
	}
	return total / allShares * (shares[s] + onTop[s])
}

// Bucket is the package's Bucket with the share of s as its bound. One that exists with another bound, or none,
// is used as it is, and the logger says what an operator has to change.
func (r Room) Bucket(js jetstream.JetStream, s Store, cfg jetstream.KeyValueConfig) *Lazy[jetstream.KeyValue] {
	cfg.MaxBytes, cfg.Replicas = r.Of(s), r.Replicas
	bound := Bucket(js, cfg)
	var told sync.Once // the bucket is opened again after each outage
	return NewLazy(js.Conn(), func(ctx context.Context) (jetstream.KeyValue, error) {
		kv, err := bound.open(ctx)
		if err == nil && r.Logger != nil {
			told.Do(func() { r.compare(ctx, js, cfg) })
		}
		return kv, err
	})
}

// compare notes a bucket whose bound differs. Not to be told is no reason to fail.
func (r Room) compare(ctx context.Context, js jetstream.JetStream, cfg jetstream.KeyValueConfig) {
	s, err := js.Stream(ctx, "KV_"+cfg.Bucket)
	if err != nil {
		return
	}
	if have := s.CachedInfo().Config.MaxBytes; have != cfg.MaxBytes {
		r.Logger.WarnContext(
			ctx, "the bucket keeps a bound that differs from this configuration: an operator has to change it",
			"bucket", cfg.Bucket, "max_bytes", have, "configured_bytes", cfg.MaxBytes, "setting",
			"GATEWAY_STORE_MAX_BYTES", "command",
			fmt.Sprintf("nats stream edit KV_%s --max-bytes=%d", cfg.Bucket, cfg.MaxBytes),
		)
	}
}

// Objects opens an object store that exists as it is, and else makes it.
func Objects(js jetstream.JetStream, cfg jetstream.ObjectStoreConfig) *Lazy[jetstream.ObjectStore] {
	return NewLazy(js.Conn(), func(ctx context.Context) (jetstream.ObjectStore, error) {
		if err := bounded(cfg.Bucket, cfg.MaxBytes); err != nil {
			return nil, err
		}
		store, err := js.ObjectStore(ctx, cfg.Bucket)
		if !errors.Is(err, jetstream.ErrBucketNotFound) {
			return store, err
		}
		store, err = js.CreateObjectStore(ctx, cfg)
		if errors.Is(err, jetstream.ErrBucketExists) {
			return js.ObjectStore(ctx, cfg.Bucket)
		}
		return store, noRoom(err, cfg.Bucket, cfg.MaxBytes)
	})
}

// bounded refuses to make a bucket or stream that could grow until the disk is full.
func bounded(name string, maxBytes int64) error {
	if maxBytes <= 0 {
		return fault.New(fault.Internal, "unbounded_store", name+" has no MaxBytes")
	}
	return nil
}

// noRoom says of a bucket or stream that could not be made for want of room how large it was to be.
func noRoom(err error, name string, maxBytes int64) error {
	if !Full(err) {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "no_room",
		fmt.Sprintf("NATS has no room for %s, %d bytes: lower its setting, or give NATS more (docs/operations.md)",
			name, maxBytes))
}

// StoreFull is the code of a fault that says that a bucket, a stream or the account has reached its bound.
const StoreFull = "store_full"

// fullRetry is when to try again: what is in a full bucket ages out.
const fullRetry = 30 * time.Second

// Codes with which a server refuses a message or a stream for want of room.
const (
	codeAccountFull    jetstream.ErrorCode = 10002
	codeNoPlacement    jetstream.ErrorCode = 10005 // no server of a cluster has what a stream asks for
	codeServerFull     jetstream.ErrorCode = 10023
	codeMemoryReserved jetstream.ErrorCode = 10028
	codeReserved       jetstream.ErrorCode = 10047
	codeStoreFailed    jetstream.ErrorCode = 10077 // for any reason, which is in the text
)

// Full reports whether an error says that there is no room: not for this message, or not for this stream.
// A disk that fails is an outage and not this.
func Full(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode {
	case codeAccountFull, codeServerFull, codeMemoryReserved, codeReserved:
		return true
	case codeStoreFailed:
		return strings.Contains(api.Description, "maximum bytes")
	case codeNoPlacement:
		return strings.Contains(api.Description, "insufficient storage")
	default:
		return false
	}
}

// Pad fills a JSON value with spaces up to size bytes, less what the revision takes in the message's header. A
// full bucket takes only what is no larger than what it replaces (NATS, discard new), so a record that grows while
// it is pending must not: otherwise a flood of new ones would also hold up those that were accepted before it.
// revision is 0 for a new key.
func Pad(value []byte, size int, revision uint64) []byte {
	if fill := size - len(value) - len(strconv.FormatUint(revision, 10)); fill > 0 {
		return append(value, strings.Repeat(" ", fill)...)
	}
	return value
}
