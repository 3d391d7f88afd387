// Package natsframes keeps frames in the JetStream stream GATEWAY_FRAMES, one subject per
// client. The server republishes each stored frame to the client's live subject, which the [LiveFeed] follows.
package natsframes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
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
	MaxBytes     int64         // bytes of all frames together; the oldest go first
	MaxPerClient int64         // frames per client; the oldest go first
	Replicas     int
}

var _ fanout.FrameLog = (*FrameLog)(nil)

// FrameLog is the JetStream adapter. It is safe for concurrent use.
type FrameLog struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	tel    *telemetry.Telemetry
	stream *natskit.Lazy[jetstream.Stream]

	perClient int64
}

// New makes the log; the stream is created when it is first needed.
func New(nc *nats.Conn, cfg Config, tel *telemetry.Telemetry) (*FrameLog, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, err
	}
	return &FrameLog{
		nc:        nc,
		js:        js,
		tel:       tel,
		perClient: cfg.MaxPerClient,
		stream: natskit.Stream(js, jetstream.StreamConfig{
			Name:              StreamName,
			Description:       "Frames for clients of the NoETL gateway, kept for replay.",
			Subjects:          []string{subjectPrefix + "*"},
			Storage:           jetstream.FileStorage,
			Retention:         jetstream.LimitsPolicy,
			Discard:           jetstream.DiscardOld,
			MaxAge:            cfg.TTL,
			MaxBytes:          cfg.MaxBytes,
			MaxMsgsPerSubject: cfg.MaxPerClient,
			Duplicates:        min(dedupWindow, cfg.TTL),
			AllowDirect:       true,
			Replicas:          cfg.Replicas,
			RePublish: &jetstream.RePublish{
				Source:      subjectPrefix + "*",
				Destination: livePrefix + "{{wildcard(1)}}",
			},
		}, tel.Logger),
	}, nil
}

// Append implements the port. The trace context goes along, so that the frame's way to the
// client belongs to the trace of what caused it.
func (l *FrameLog) Append(ctx context.Context, client string, f fanout.NewFrame) error {
	ctx, span := l.tel.Tracer().Start(ctx, "store frame", spanOf(f.Event)...)
	defer span.End()
	if err := l.tooLarge(f); err != nil {
		return err
	}
	return l.stream.Do(ctx, func(jetstream.Stream) error {
		_, err := l.js.PublishMsg(ctx, l.message(ctx, client, f))
		return err
	})
}

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
	_, missing := l.stream.Get(ctx)
	for i, f := range frames {
		if errs[i] = cmp.Or(missing, l.tooLarge(f.NewFrame)); errs[i] == nil {
			acks[i], errs[i] = l.js.PublishMsgAsync(l.message(ctx, f.Client, f.NewFrame))
			errs[i] = l.stream.AsFault(errs[i])
		}
	}
	for i, ack := range acks {
		if errs[i] != nil {
			continue
		}
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			errs[i] = l.stream.AsFault(err)
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

func (l *FrameLog) message(ctx context.Context, client string, f fanout.NewFrame) *nats.Msg {
	header := natskit.Inject(ctx, l.tel.Propagator(), nats.Header{
		eventHeader: {f.Event}, jetstream.MsgIDHeader: {f.DedupID}, jetstream.ExpectedStreamHeader: {StreamName},
	})
	return &nats.Msg{Subject: subjectPrefix + client, Data: f.Body, Header: header}
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
	var messages []*jetstream.RawStreamMsg
	err = l.stream.Do(ctx, func(jetstream.Stream) error {
		messages, more, err = natskit.Backlog(ctx, l.js, StreamName, subjectPrefix+client, after, limit, maxRead)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	frames = make([]fanout.Frame, 0, len(messages))
	for _, m := range messages {
		frames = append(frames, fanout.Frame{Seq: m.Sequence, Event: m.Header.Get(eventHeader), Body: m.Data})
	}
	return frames, more, nil
}

// Client implements the port.
func (l *FrameLog) Client(ctx context.Context, seq uint64) (string, error) {
	m, err := natskit.Use(
		ctx,
		l.stream,
		func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) { return s.GetMsg(ctx, seq) },
	)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	return strings.TrimPrefix(m.Subject, subjectPrefix), nil
}

// Full implements the port: the answer to a batched get tells how many frames follow.
func (l *FrameLog) Full(ctx context.Context, client string) (bool, error) {
	if _, err := l.stream.Get(ctx); err != nil {
		return false, err
	}
	messages, err := jetstreamext.GetBatch(
		ctx, l.js, StreamName, 1, jetstreamext.GetBatchSubject(subjectPrefix+client), jetstreamext.GetBatchSeq(1),
	)
	if err != nil {
		return false, l.stream.AsFault(err)
	}
	answered, following := false, int64(0)
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return false, nil
		case err != nil:
			return false, l.stream.AsFault(err)
		}
		answered = true
		if following, err = strconv.ParseInt(m.Header.Get("Nats-Num-Pending"), 10, 64); err != nil {
			return false, err
		}
	}
	if !answered {
		return false, natskit.ErrSilent()
	}
	return following+1 >= l.perClient, nil
}

// Window implements the port. The epoch is the stream's creation time: a stream that was
// lost and recreated has another.
func (l *FrameLog) Window(ctx context.Context) (fanout.Window, error) {
	info, err := natskit.Use(
		ctx,
		l.stream,
		func(s jetstream.Stream) (*jetstream.StreamInfo, error) { return s.Info(ctx) },
	)
	if err != nil {
		return fanout.Window{}, err
	}
	return fanout.Window{
		Epoch: strconv.FormatInt(info.Created.UnixNano(), 36),
		First: info.State.FirstSeq,
		Last:  info.State.LastSeq,
	}, nil
}
