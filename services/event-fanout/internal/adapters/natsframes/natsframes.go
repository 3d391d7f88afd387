// Package natsframes keeps frames in the JetStream stream GATEWAY_FRAMES, or in several that divide the clients among
// themselves (ADR 0026), one subject per client. The server republishes each stored frame to the client's live subject,
// which the [LiveFeed] follows.
package natsframes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Names in NATS. The live subject is what the [LiveFeed] listens on.
const (
	StreamName    = "GATEWAY_FRAMES"
	subjectPrefix = "gateway.frames."
	livePrefix    = "gateway.live."
	eventHeader   = "Gateway-Event"
)

// dedupWindow is how long a DedupID is remembered; the port asks for ten minutes.
const dedupWindow = 10 * time.Minute

// publishTimeout bounds the acknowledgement of one of many frames.
const publishTimeout = 5 * time.Second

// Config bounds the log.
type Config struct {
	TTL          time.Duration // how long a frame is kept
	MaxBytes     int64         // bytes of all frames together; the oldest of a shard go first
	MaxPerClient int64         // frames per client; the oldest go first
	Replicas     int
	Shards       int           // streams among which the clients are divided, 1 to 64; 0 is 1
	Settle       time.Duration // how long nothing is stored while the shards change; 0 is 3 s
}

var _ fanout.FrameLog = (*FrameLog)(nil)

// FrameLog is the JetStream adapter. It is safe for concurrent use. [FrameLog.Run] must be running for more than one
// shard, or for another number of shards than before.
type FrameLog struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	tel       *telemetry.Telemetry
	layouts   *layouts
	perClient int64
}

// New makes the log; its streams are created when they are first needed. What the replicas agree on is recorded in
// the bucket.
func New(
	nc *nats.Conn, cfg Config, records *natskit.Lazy[jetstream.KeyValue], tel *telemetry.Telemetry,
) (*FrameLog, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, err
	}
	return &FrameLog{nc: nc, js: js, tel: tel, perClient: cfg.MaxPerClient, layouts: &layouts{
		js: js, records: records, wanted: max(cfg.Shards, 1), settle: cmp.Or(cfg.Settle, defaultSettle),
		config: cfg.stream, logger: tel.Logger, outage: tel.Outages.Of("frame_streams", "", natskit.DependencyName),
		asking: make(chan struct{}, 1), tried: make(chan struct{}),
	}}, nil
}

// stream is the configuration of one stream of a layout, which begins at a sequence.
func (c Config) stream(shards, index int, base uint64) jetstream.StreamConfig {
	prefix := subjectsOf(shards, index)
	return jetstream.StreamConfig{
		Name:              streamName(shards, index),
		Description:       "Frames for clients of the NoETL gateway, kept for replay.",
		Subjects:          []string{prefix + "*"},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxAge:            c.TTL,
		MaxBytes:          c.MaxBytes / int64(shards),
		MaxMsgsPerSubject: c.MaxPerClient,
		Duplicates:        min(dedupWindow, c.TTL),
		AllowDirect:       true,
		Replicas:          c.Replicas,
		FirstSeq:          base,
		RePublish: &jetstream.RePublish{
			Source:      prefix + "*",
			Destination: livePrefix + "{{wildcard(1)}}",
		},
	}
}

// Run brings the configured number of shards into use, until ctx ends.
func (l *FrameLog) Run(ctx context.Context) error { return l.layouts.run(ctx) }

// Append implements the port. The trace context goes along, so that the frame's way to the
// client belongs to the trace of what caused it.
func (l *FrameLog) Append(ctx context.Context, client string, f fanout.NewFrame) error {
	ctx, span := l.tel.Tracer().Start(ctx, "store frame", spanOf(f.Event)...)
	defer span.End()
	if err := l.tooLarge(f); err != nil {
		return err
	}
	g, err := l.layouts.writable(ctx)
	if err != nil {
		return err
	}
	if stored, err := l.storedBefore(ctx, g, client, f.DedupID); stored || err != nil {
		return err
	}
	s := g.home(client)
	return s.stream.Do(ctx, func(jetstream.Stream) error {
		_, err := l.js.PublishMsg(ctx, l.message(ctx, s, client, f))
		return err
	})
}

// storedBefore reports whether a stream that was left a short while ago has the frame: only the stream itself knows
// the DedupIDs that it has seen.
func (l *FrameLog) storedBefore(ctx context.Context, g *generation, client, dedupID string) (bool, error) {
	homes := g.homes(client)
	if len(homes) == 1 || time.Since(homes[len(homes)-1].since) > dedupWindow+longAgo {
		return false, nil
	}
	for _, s := range homes[:len(homes)-1] {
		for after, more := uint64(0), !s.expired(); more; {
			var messages []*jetstream.RawStreamMsg
			var err error
			if messages, more, err = l.read(ctx, s, client, after, readPage); err != nil {
				return false, err
			}
			for _, m := range messages {
				if m.Header.Get(jetstream.MsgIDHeader) == dedupID {
					return true, nil
				}
				after = m.Sequence
			}
		}
	}
	return false, nil
}

// readPage is how many frames are read in one go when a DedupID is looked for.
const readPage = 1000

// maxStoring bounds how many frames one call stores concurrently.
const maxStoring = 256

// AppendEach implements the port.
func (l *FrameLog) AppendEach(ctx context.Context, frames []fanout.ClientFrame) []error {
	errs := make([]error, 0, len(frames))
	if len(frames) == 1 {
		return append(errs, l.Append(ctx, frames[0].Client, frames[0].NewFrame))
	}
	ctx, span := l.tel.Tracer().Start(ctx, "store frame", spanOf(frames[0].Event)...)
	defer span.End()
	for some := range slices.Chunk(frames, maxStoring) {
		errs = append(errs, l.appendSome(ctx, some)...)
	}
	return errs
}

func (l *FrameLog) appendSome(ctx context.Context, frames []fanout.ClientFrame) []error {
	errs := make([]error, len(frames))
	acks := make([]jetstream.PubAckFuture, len(frames))
	shards := make([]*shard, len(frames))
	g, err := l.layouts.writable(ctx)
	for i, f := range frames {
		if errs[i] = cmp.Or(err, l.tooLarge(f.NewFrame)); errs[i] != nil {
			continue
		}
		var stored bool
		if stored, errs[i] = l.storedBefore(ctx, g, f.Client, f.DedupID); stored || errs[i] != nil {
			continue
		}
		shards[i] = g.home(f.Client)
		if _, errs[i] = shards[i].stream.Get(ctx); errs[i] == nil {
			acks[i], errs[i] = l.js.PublishMsgAsync(l.message(ctx, shards[i], f.Client, f.NewFrame))
			errs[i] = shards[i].stream.AsFault(errs[i])
		}
	}
	for i, ack := range acks {
		if ack == nil || errs[i] != nil {
			continue
		}
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			errs[i] = shards[i].stream.AsFault(err)
		case <-ctx.Done():
			errs[i] = natskit.AsFault(ctx.Err())
		}
	}
	return errs
}

func spanOf(event string) []trace.SpanStartOption {
	return []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", StreamName),
		attribute.String("noetl.frame.event", event),
	)}
}

func (l *FrameLog) tooLarge(f fanout.NewFrame) error {
	if int64(len(f.Body))+headerRoom <= l.nc.MaxPayload() || !l.nc.IsConnected() {
		return nil
	}
	return fault.New(fault.TooLarge, "frame_too_large",
		fmt.Sprintf("a frame may have at most %d bytes", l.nc.MaxPayload()-headerRoom))
}

func (l *FrameLog) message(ctx context.Context, s *shard, client string, f fanout.NewFrame) *nats.Msg {
	header := natskit.Inject(ctx, l.tel.Propagator(), nats.Header{
		eventHeader: {f.Event}, jetstream.MsgIDHeader: {f.DedupID}, jetstream.ExpectedStreamHeader: {s.name},
	})
	return &nats.Msg{Subject: s.prefix + client, Data: f.Body, Header: header}
}

// headerRoom is what the headers of a frame may take of the largest payload, in bytes.
const headerRoom = 2048

// maxRead bounds one read, in bytes: many streams read concurrently after an outage, and each batch
// must be written to its client within one write deadline.
const maxRead = 1 << 20

// Since implements the port with batched direct gets: no consumer is made.
func (l *FrameLog) Since(
	ctx context.Context, client string, after uint64, limit int,
) (frames []fanout.Frame, more bool, err error) {
	g, err := l.layouts.current(ctx)
	if err != nil {
		return nil, false, err
	}
	homes := g.homes(client)
	for i, s := range homes {
		left := i < len(homes)-1 // frames go to another stream now
		if left && (after+1 >= homes[i+1].base || s.expired()) {
			continue
		}
		if len(frames) == limit {
			return frames, true, nil
		}
		messages, more, err := l.read(ctx, s, client, after, limit-len(frames))
		if err != nil {
			return nil, false, err
		}
		for _, m := range messages {
			frames = append(frames, fanout.Frame{
				Seq: m.Sequence, Event: m.Header.Get(eventHeader), Body: m.Data, At: m.Time,
			})
			after = m.Sequence
		}
		if more {
			return frames, true, nil
		}
	}
	return frames, false, nil
}

// read reads frames of a client in one stream. A stream that is no longer in use, and gone, has none.
func (l *FrameLog) read(
	ctx context.Context, s *shard, client string, after uint64, limit int,
) (messages []*jetstream.RawStreamMsg, more bool, err error) {
	err = s.stream.Do(ctx, func(jetstream.Stream) error {
		messages, more, err = natskit.Backlog(ctx, l.js, s.name, s.prefix+client, after, limit, maxRead)
		return err
	})
	return messages, more, s.unlessGone(err)
}

// unlessGone returns nil for the error that a stream which is no longer in use was deleted.
func (s *shard) unlessGone(err error) error {
	if !s.until.IsZero() && errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

// Client implements the port.
func (l *FrameLog) Client(ctx context.Context, epoch string, seq uint64) (string, error) {
	g, err := l.layouts.current(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range slices.Concat(g.shards...) {
		info, err := s.info(ctx)
		if err := s.unlessGone(err); err != nil {
			return "", err
		}
		if info == nil || epochOf(info) != epoch {
			continue
		}
		m, err := natskit.Use(ctx, s.stream, func(stream jetstream.Stream) (*jetstream.RawStreamMsg, error) {
			return stream.GetMsg(ctx, seq)
		})
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return "", nil
		case err != nil:
			return "", err
		}
		return strings.TrimPrefix(m.Subject, s.prefix), nil
	}
	return "", nil
}

// Full implements the port.
func (l *FrameLog) Full(ctx context.Context, client string) (bool, error) {
	g, err := l.layouts.current(ctx)
	if err != nil {
		return false, err
	}
	for _, s := range g.homes(client) {
		if s.expired() {
			continue
		}
		kept, err := natskit.Use(ctx, s.stream, func(jetstream.Stream) (int64, error) {
			return natskit.Count(ctx, l.js, s.name, s.prefix+client)
		})
		if err := s.unlessGone(err); err != nil {
			return false, err
		}
		if kept >= l.perClient {
			return true, nil
		}
	}
	return false, nil
}

// Window implements the port. The epoch is the creation time of the client's stream: a stream that was
// lost and recreated has another.
func (l *FrameLog) Window(ctx context.Context, client string) (fanout.Window, error) {
	g, err := l.layouts.current(ctx)
	if err != nil {
		return fanout.Window{}, err
	}
	homes := g.homes(client)
	newest := homes[len(homes)-1]
	info, err := newest.info(ctx)
	if err != nil {
		return fanout.Window{}, err
	}
	w := fanout.Window{Epoch: epochOf(info), First: info.State.FirstSeq, Last: info.State.LastSeq}
	if w.Epoch != newest.epoch {
		return w, nil // the first layout, or a stream that lost its frames: it goes on from no other
	}
	for i, s := range slices.Backward(homes[:len(homes)-1]) {
		w.Earlier = append(w.Earlier, s.epoch)
		if w.First > homes[i+1].base || s.expired() {
			continue // frames between the two are gone
		}
		info, err := s.info(ctx)
		if err := s.unlessGone(err); err != nil {
			return fanout.Window{}, err
		}
		if info != nil && epochOf(info) == s.epoch {
			w.First = info.State.FirstSeq
		}
	}
	return w, nil
}

func (s *shard) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	return natskit.Use(ctx, s.stream, func(stream jetstream.Stream) (*jetstream.StreamInfo, error) {
		return stream.Info(ctx)
	})
}

// Epochs implements the port.
func (l *FrameLog) Epochs(ctx context.Context) (func(client string) string, error) {
	g, err := l.layouts.current(ctx)
	if err != nil {
		return nil, err
	}
	epochs := make([]string, len(g.shards[0]))
	for i, s := range g.shards[0] {
		info, err := s.info(ctx)
		if err != nil {
			return nil, err
		}
		epochs[i] = epochOf(info)
	}
	return func(client string) string { return epochs[shardOf(client, len(epochs))] }, nil
}
