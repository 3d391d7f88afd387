package natskit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Lazy makes a bucket or stream when it is first needed, and again when it is found missing or its
// connection was broken meanwhile: a NATS server may come back empty. It is safe for concurrent use.
type Lazy[T any] struct {
	conn *nats.Conn
	open func(context.Context) (T, error)
	// opening holds a token while somebody opens: a channel, because a waiter must not outstay
	// its own context when that takes long.
	opening chan struct{}

	mu  sync.Mutex
	got T
	ok  bool
	era uint64 // of the connection when the thing was opened
}

// NewLazy makes a Lazy from a function that opens, or makes and opens, the thing over a connection.
// Without a connection only what is found missing is opened again.
func NewLazy[T any](conn *nats.Conn, open func(context.Context) (T, error)) *Lazy[T] {
	return &Lazy[T]{conn: conn, open: open, opening: make(chan struct{}, 1)}
}

// now is a number that changes whenever the connection is made again.
func (l *Lazy[T]) now() uint64 {
	if l.conn == nil {
		return 0
	}
	return l.conn.Stats().Reconnects
}

// Get returns the thing. The error is a fault (see [AsFault]); the next call tries again.
func (l *Lazy[T]) Get(ctx context.Context) (T, error) {
	if got, ok := l.opened(); ok {
		return got, nil
	}
	var none T
	select {
	case l.opening <- struct{}{}:
	case <-ctx.Done():
		return none, AsFault(ctx.Err())
	}
	defer func() { <-l.opening }()
	if got, ok := l.opened(); ok {
		return got, nil
	}
	era := l.now() // before it is opened: a connection that breaks now may lead to another server
	got, err := l.open(ctx)
	if err != nil {
		return none, AsFault(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got, l.ok, l.era = got, true, era
	return got, nil
}

func (l *Lazy[T]) opened() (T, bool) {
	era := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got, l.ok && l.era == era
}

// Use runs an operation on the thing and returns its error as a fault. When the thing is found missing, the
// operation has changed nothing: the thing is made again and the operation runs once more, so it must allow
// for being run twice.
func Use[T, R any](ctx context.Context, l *Lazy[T], op func(T) (R, error)) (R, error) {
	for again := false; ; again = true {
		got, err := l.Get(ctx)
		if err != nil {
			var none R
			return none, err
		}
		result, err := op(got)
		if again || !missing(err) || ctx.Err() != nil {
			return result, l.AsFault(err)
		}
		l.forgetIfMissing(err)
	}
}

// Do is [Use] for an operation without a result.
func (l *Lazy[T]) Do(ctx context.Context, op func(T) error) error {
	_, err := Use(ctx, l, func(got T) (struct{}, error) { return struct{}{}, op(got) })
	return err
}

// Entry reads a key of a bucket.
func Entry(ctx context.Context, bucket *Lazy[jetstream.KeyValue], key string) (jetstream.KeyValueEntry, error) {
	return Use(ctx, bucket, func(kv jetstream.KeyValue) (jetstream.KeyValueEntry, error) { return kv.Get(ctx, key) })
}

// AsFault is the package's [AsFault] for an error of an operation on the thing. When the error says
// that the thing itself is gone, the next Get makes it again.
func (l *Lazy[T]) AsFault(err error) error {
	l.forgetIfMissing(err)
	return AsFault(err)
}

func (l *Lazy[T]) forgetIfMissing(err error) {
	if missing(err) {
		l.mu.Lock()
		l.ok = false
		l.mu.Unlock()
	}
}

// missing reports errors that say that the stream is gone. KV watches return the older errors
// of package nats, which package jetstream's do not match.
func missing(err error) bool {
	for _, e := range []error{
		jetstream.ErrStreamNotFound, jetstream.ErrBucketNotFound, jetstream.ErrNoStreamResponse,
		jetstream.ErrConsumerNotFound,
		nats.ErrStreamNotFound, nats.ErrBucketNotFound, nats.ErrNoStreamResponse, nats.ErrConsumerNotFound,
		nats.ErrNoResponders,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Bucket opens a key-value bucket that exists as it is, whoever made it, and else makes it. A bucket of the
// gateway has a share of its own: see [Room.Bucket].
// Several replicas may race to make it.
func Bucket(js jetstream.JetStream, cfg jetstream.KeyValueConfig) *Lazy[jetstream.KeyValue] {
	return NewLazy(js.Conn(), func(ctx context.Context) (jetstream.KeyValue, error) {
		if err := bounded(cfg.Bucket, cfg.MaxBytes); err != nil {
			return nil, err
		}
		kv, err := js.KeyValue(ctx, cfg.Bucket)
		if !errors.Is(err, jetstream.ErrBucketNotFound) {
			return kv, err
		}
		kv, err = js.CreateKeyValue(ctx, cfg)
		if errors.Is(err, jetstream.ErrBucketExists) {
			return js.KeyValue(ctx, cfg.Bucket)
		}
		return kv, noRoom(err, cfg.Bucket, cfg.MaxBytes)
	})
}

// ForeignBucket is [Bucket] for one that is not the gateway's, so that it has no share of the room: the sandbox makes
// what belongs to a NoETL. It needs a bound as well.
func ForeignBucket(js jetstream.JetStream, cfg jetstream.KeyValueConfig) *Lazy[jetstream.KeyValue] {
	return Bucket(js, cfg)
}

// Stream opens a stream of ours and makes it if it is missing. The limits of an existing one are
// brought up to date; where this user may not do that (deployments/nats allows no service to
// change a stream) it is used as it is, and the logger says so.
func Stream(js jetstream.JetStream, cfg jetstream.StreamConfig, logger *slog.Logger) *Lazy[jetstream.Stream] {
	bound := BoundStream(js, cfg)
	return NewLazy(js.Conn(), func(ctx context.Context) (jetstream.Stream, error) {
		s, err := bound.open(ctx)
		if err != nil || current(s.CachedInfo().Config, cfg) {
			return s, err
		}
		uctx, cancel := context.WithTimeout(ctx, updatePatience)
		defer cancel()
		updated, err := js.UpdateStream(uctx, cfg)
		if err != nil {
			logger.WarnContext(
				ctx, "the stream keeps settings that differ from this configuration: an operator has to change it",
				"stream", cfg.Name, "err", err,
			)
			return s, ctx.Err()
		}
		return updated, nil
	})
}

// updatePatience is short because a server answers a forbidden request with silence.
const updatePatience = time.Second

// current reports whether a stream has the limits that settings can change, and what a release may.
func current(have, want jetstream.StreamConfig) bool {
	republish := func(c jetstream.StreamConfig) jetstream.RePublish {
		if c.RePublish == nil {
			return jetstream.RePublish{}
		}
		return *c.RePublish
	}
	return slices.Equal(have.Subjects, want.Subjects) && have.AllowDirect == want.AllowDirect &&
		republish(have) == republish(want) &&
		have.MaxAge == want.MaxAge && have.MaxBytes == want.MaxBytes &&
		have.MaxMsgsPerSubject == want.MaxMsgsPerSubject &&
		have.Duplicates == want.Duplicates &&
		have.Replicas == want.Replicas
}

// BoundStream opens a stream that belongs to somebody else as it is, and makes it with cfg
// only if it does not exist.
func BoundStream(js jetstream.JetStream, cfg jetstream.StreamConfig) *Lazy[jetstream.Stream] {
	return NewLazy(js.Conn(), func(ctx context.Context) (jetstream.Stream, error) {
		if err := bounded(cfg.Name, cfg.MaxBytes); err != nil {
			return nil, err
		}
		s, err := js.Stream(ctx, cfg.Name)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return s, err
		}
		s, err = js.CreateStream(ctx, cfg)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return js.Stream(ctx, cfg.Name)
		}
		return s, noRoom(err, cfg.Name, cfg.MaxBytes)
	})
}
