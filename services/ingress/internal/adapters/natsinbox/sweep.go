package natsinbox

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// When room is made: above sweepFrom percent of the stream's bound, down to sweepTo.
const (
	sweepFrom  = 80
	sweepTo    = 70
	sweepBatch = 256
)

// MakeRoom is Sweep for whoever calls it again and again: what fails is tried the next time.
func (s *Store) MakeRoom(ctx context.Context, window time.Duration) {
	if err := s.Sweep(ctx, window); err != nil && ctx.Err() == nil {
		s.Logger.DebugContext(ctx, "no room can be made in the inbox; trying again", "err", err)
	}
}

// Sweep makes room, if there is little: deliveries that are done and older than the window, in which a repetition must
// be recognised, are forgotten before their retention ends, the oldest first. What waits or is dead is never forgotten.
func (s *Store) Sweep(ctx context.Context, window time.Duration) error {
	swept := 0
	for from := sweepFrom; ; from = sweepTo {
		full, err := s.fuller(ctx, from)
		if err != nil || !full {
			return err
		}
		n, err := s.sweep(ctx, window)
		if swept += n; err != nil || n == 0 {
			return err
		}
		s.Logger.InfoContext(ctx, "deliveries are forgotten before their time, to make room", "deliveries", swept,
			"setting", "INGRESS_INBOX_MAX_BYTES")
	}
}

// fuller reports whether more than so many percent of the inbox are in use.
func (s *Store) fuller(ctx context.Context, percent int) (bool, error) {
	info, err := natskit.Use(ctx, s.deliveries, func(stream jetstream.Stream) (*jetstream.StreamInfo, error) {
		return stream.Info(ctx)
	})
	if err != nil {
		return false, err
	}
	most := info.Config.MaxBytes
	return most > 0 && int64(info.State.Bytes) > most/100*int64(percent), nil //nolint:gosec // bounded by the stream
}

// sweep forgets a batch of deliveries, and returns how many.
func (s *Store) sweep(ctx context.Context, window time.Duration) (int, error) {
	n := 0
	for _, state := range []ingresswire.State{ingresswire.Dispatched, ingresswire.Filtered, ingresswire.Discarded} {
		found, _, err := natskit.Backlog(ctx, s.js, States, recordSubject(state, "*", "*"), 0, sweepBatch, readBytes)
		if err != nil {
			return n, s.states.AsFault(err)
		}
		for _, m := range found {
			r, err := decodeRecord(stored{Sequence: m.Sequence, Data: m.Data})
			if err == nil && time.Since(r.ReceivedAt) < window {
				break
			}
			if err := s.forget(ctx, r); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// forget removes a delivery, and then what is known of it.
func (s *Store) forget(ctx context.Context, r ingress.Record) error {
	if r.Bytes > inlineMax {
		if d, err := s.Load(ctx, r.Sequence); err == nil && d.Object != "" {
			s.dropBody(ctx, d.Object)
		}
	}
	if r.Sequence != 0 {
		_ = s.deliveries.Do(ctx, func(stream jetstream.Stream) error { return stream.DeleteMsg(ctx, r.Sequence) })
	}
	return s.states.Do(ctx, func(stream jetstream.Stream) error { return stream.DeleteMsg(ctx, r.Revision) })
}
