package natskit

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// watchRetry is how long to wait before a watch is opened again. It bounds how late an entry is noticed
	// after an outage.
	watchRetry = 200 * time.Millisecond
	// watchCheck is how often a watched bucket is looked for: NATS may have come back without it.
	watchCheck = 5 * time.Second
	// watchPatience bounds one request for the bucket.
	watchPatience = 2 * time.Second
)

// Watch follows a bucket until its context ends. It is opened again after a reconnect, and when the bucket was
// lost; then it tells all entries again, so that none is missed.
type Watch struct {
	JS     jetstream.JetStream
	Bucket *Lazy[jetstream.KeyValue] // whether it is made when it is missing is the Lazy's matter
	Logger *slog.Logger
	Put    func(jetstream.KeyValueEntry) // an entry that was written; those that are there come first
	// Gone, if set, is called for an entry that was deleted or purged.
	Gone func(jetstream.KeyValueEntry)
	// Begin, if set, is called before all entries are told, for the first time or again.
	Begin func()
	// CaughtUp, if set, is called when all entries that were there have been told.
	CaughtUp func()
	// Tick, if set, is called once in a while, never concurrently with the others.
	Tick func()
}

// Run is the life of the watch.
func (w Watch) Run(ctx context.Context) error {
	for {
		if err := w.follow(ctx); err != nil && ctx.Err() == nil {
			w.Logger.DebugContext(ctx, "a bucket cannot be watched; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchRetry):
		}
	}
}

func (w Watch) follow(ctx context.Context) error {
	// The watch itself takes ten seconds and more to notice that the server was gone.
	reconnected := w.JS.Conn().StatusChanged(nats.CONNECTED)
	defer w.JS.Conn().RemoveStatusListener(reconnected)
	octx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	kv, err := w.Bucket.Get(octx)
	if err != nil {
		return err
	}
	// A watch on a bucket that is gone fails with an error that does not say so.
	if err := w.check(ctx, kv); err != nil {
		return err
	}
	var opts []jetstream.WatchOpt
	if w.Gone == nil {
		opts = append(opts, jetstream.IgnoreDeletes())
	}
	if w.Begin != nil {
		w.Begin()
	}
	updates, err := kv.WatchAll(ctx, opts...)
	if err != nil {
		return w.Bucket.AsFault(err)
	}
	// Stopping asks the server to delete the consumer, which takes 5 s when the server is unavailable.
	defer func() { go func() { _ = updates.Stop() }() }()
	check := time.NewTicker(watchCheck)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reconnected:
			return nil
		case <-check.C:
			if err := w.check(ctx, kv); err != nil {
				return err
			}
		case e, open := <-updates.Updates():
			switch {
			case !open:
				return errors.New("the watch ended")
			case e != nil && e.Operation() != jetstream.KeyValuePut:
				w.Gone(e)
			case e != nil:
				w.Put(e)
			case w.CaughtUp != nil:
				w.CaughtUp()
			}
		}
	}
}

// check ends the watch when the bucket is gone. In an outage the watch goes on: it resumes by itself.
func (w Watch) check(ctx context.Context, kv jetstream.KeyValue) error {
	if w.Tick != nil {
		w.Tick()
	}
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	_, err := kv.Status(ctx)
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return w.Bucket.AsFault(err)
	}
	return nil
}
