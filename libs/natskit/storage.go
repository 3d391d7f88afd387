package natskit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
)

const (
	// probeKey is the key that a storage check writes; it names nothing that the services keep.
	probeKey = "storage-check"
	// probeBytes is more than a block of a file system: less would still fit into one that is in use on a full disk.
	probeBytes = 8 << 10
	// probeAge is how long an answer is good: each costs a write.
	probeAge = 5 * time.Second
	// probePatience is how long NATS may take to acknowledge a write. What has failed to write once never does.
	probePatience = 1500 * time.Millisecond
)

// StorageCheck is the name of the check in /readyz.
const StorageCheck = "nats_storage"

// Storage checks that JetStream still stores, for readiness: a server that met a full disk answers reads and
// acknowledges no write until it is restarted, and nothing but a write tells. It is safe for concurrent use.
type Storage struct {
	nc     *nats.Conn
	bucket *Lazy[jetstream.KeyValue]

	mu    sync.Mutex
	asked time.Time
	last  error
}

// NewStorage makes a check that writes to a bucket of the service's own.
func NewStorage(js jetstream.JetStream, bucket *Lazy[jetstream.KeyValue]) *Storage {
	return &Storage{nc: js.Conn(), bucket: bucket}
}

// Probe writes, or returns what the last write said. What the check of the connection says it does not repeat.
func (s *Storage) Probe(ctx context.Context) error {
	if !s.nc.IsConnected() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) < probeAge {
		return s.last
	}
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	s.last = s.write(ctx)
	s.asked = time.Now()
	return s.last
}

func (s *Storage) write(ctx context.Context) error {
	kv, err := s.bucket.Get(ctx)
	if err == nil {
		_, err = kv.Put(ctx, probeKey, bytes.Repeat([]byte{' '}, probeBytes))
		s.bucket.forgetIfMissing(err)
	}
	if err == nil || Full(err) || !s.nc.IsConnected() {
		return nil // stored; or refused by a server that could; or gone since
	}
	if disabled(err) {
		return fault.Wrap(err, fault.Unavailable, "jetstream_disabled",
			"JetStream is disabled on NATS: is its disk full? Make room and restart it")
	}
	return fault.Wrap(
		err, fault.Unavailable, "jetstream_not_storing",
		"NATS does not acknowledge what it is to store: JetStream is disabled on NATS, or its disk was full. Make "+
			"room and restart it",
	)
}

func disabled(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err,
		jetstream.ErrJetStreamNotEnabledForAccount) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) ||
		errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabled ||
			api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabledForAccount)
}

// TellRoom is the life of a component that asks NATS, once it is there, how much its account may store, and
// logs when that is less than what a service is configured to store in all its replicas. settings name what to lower.
func TellRoom(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, wanted int64, settings string,
	logger *slog.Logger,
) error {
	if waitConnected(ctx, nc) == nil {
		actx, cancel := context.WithTimeout(ctx, updatePatience)
		info, err := js.AccountInfo(actx)
		cancel()
		switch {
		case err != nil:
			logger.DebugContext(ctx, "NATS does not tell what this account may store", "err", err)
		case info.Limits.MaxStore >= 0 && info.Limits.MaxStore < wanted:
			logger.WarnContext(ctx,
				"NATS lets this account store less than the configured sizes: not every bucket and stream can be made",
				"account_bytes", info.Limits.MaxStore, "configured_bytes", wanted, "settings", settings)
		}
	}
	<-ctx.Done()
	return nil
}
