package natsinbox

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// feed is the consumer of a queue as one connection sees it.
type feed struct {
	consumer jetstream.Consumer
	// since is the last sequence of the stream when the consumer was opened, and era the connection's: what came after
	// both is surely handed out for the first time if the server says so. Before, the server may have been restarted and
	// forgotten what it had handed out, or somebody may have deleted the consumer.
	since, era uint64
}

// consumers are those of all queues.
type consumers struct {
	mu sync.Mutex
	of map[ingress.Queue]*natskit.Lazy[*feed]
}

func (s *Store) feed(q ingress.Queue) *natskit.Lazy[*feed] {
	s.consumers.mu.Lock()
	defer s.consumers.mu.Unlock()
	lazy := s.consumers.of[q]
	if lazy == nil {
		lazy = natskit.NewLazy(s.nc, func(ctx context.Context) (*feed, error) { return s.open(ctx, q) })
		s.consumers.of[q] = lazy
	}
	return lazy
}

// openTime bounds the opening of a consumer.
const openTime = 5 * time.Second

func (s *Store) open(ctx context.Context, q ingress.Queue) (*feed, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	era := s.nc.Stats().Reconnects
	stream, err := s.deliveries.Get(ctx)
	if err != nil {
		return nil, err
	}
	pending := -1
	if q.Partition != ingress.Unordered {
		pending = 1
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       token(q.Listener) + "_" + q.Partition,
		Description:   "Deliveries that the NoETL gateway dispatches.",
		FilterSubject: queueSubject(q),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ingress.LeaseTime,
		MaxAckPending: pending,
		MaxWaiting:    maxPulls,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		Replicas:      s.Replicas,
	})
	if err != nil {
		return nil, s.deliveries.AsFault(err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return nil, s.deliveries.AsFault(err)
	}
	return &feed{consumer: consumer, since: info.State.LastSeq, era: era}, nil
}

// maxPulls bounds the replicas' pulls of one queue together.
const maxPulls = 512

// Pull implements the port.
func (s *Store) Pull(
	ctx context.Context, q ingress.Queue, n int, patience time.Duration, take func(context.Context, ingress.Work),
) error {
	return s.feed(q).Do(ctx, func(f *feed) error {
		err := s.pull(ctx, f, n, patience, take)
		if errors.Is(err, jetstream.ErrConsumerDeleted) {
			return jetstream.ErrConsumerNotFound // it is made again
		}
		return err
	})
}

func (s *Store) pull(
	ctx context.Context, f *feed, n int, patience time.Duration, take func(context.Context, ingress.Work),
) error {
	var batch jetstream.MessageBatch
	var err error
	if patience == 0 {
		batch, err = f.consumer.FetchNoWait(n)
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
		batch, err = f.consumer.Fetch(n, jetstream.FetchContext(ctx))
	}
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		s.hand(ctx, f, m, take)
	}
	err = batch.Error()
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages) {
		return nil // nothing came
	}
	return err
}

// hand hands one message out. What is no delivery is given up: it will not become one.
func (s *Store) hand(ctx context.Context, f *feed, m jetstream.Msg, take func(context.Context, ingress.Work)) {
	meta, err := m.Metadata()
	if err != nil {
		_ = m.Term()
		return
	}
	w := ingress.Work{Lease: lease{m}}
	from := stored{Subject: m.Subject(), Sequence: meta.Sequence.Stream, Data: m.Data(), Time: meta.Timestamp}
	if again(m.Subject()) {
		w.Redrive = &ingress.Redrive{}
		if err = json.Unmarshal(m.Data(), w.Redrive); err == nil {
			w.Delivery, err = s.Load(ctx, w.Redrive.Sequence)
			if natskit.AsFault(err) != nil && !isGone(err) {
				_ = m.NakWithDelay(redriveRetry)
				return
			}
		}
	} else {
		w.Delivery, err = decode(from)
		w.Fresh = meta.NumDelivered == 1 && from.Sequence > f.since && s.nc.Stats().Reconnects == f.era &&
			s.Replicas <= 1 && s.nc.ConnectedClusterName() == ""
	}
	if err != nil {
		s.Logger.ErrorContext(ctx, "a message of the inbox is no delivery and is given up", "subject", m.Subject(),
			"sequence", from.Sequence, "err", err)
		_ = m.TermWithReason("unreadable")
		return
	}
	take(natskit.Extract(ctx, s.Propagator, m.Headers()), w)
}

// redriveRetry is when a redrive comes again whose delivery could not be read.
const redriveRetry = 2 * time.Second

// lease is a message that was handed out. What cannot be said of it is found out later: an acknowledgement that is lost
// makes it come again, and its record says that it is done.
type lease struct{ m jetstream.Msg }

// Hold implements the port.
func (l lease) Hold() { _ = l.m.InProgress() }

// Done implements the port.
func (l lease) Done() { _ = l.m.Ack() }

// Retry implements the port.
func (l lease) Retry(after time.Duration) {
	if after <= 0 {
		_ = l.m.Nak()
		return
	}
	_ = l.m.NakWithDelay(after)
}

// Oldest implements the port.
func (s *Store) Oldest(ctx context.Context, q ingress.Queue) (time.Time, error) {
	f, err := s.feed(q).Get(ctx)
	if err != nil {
		return time.Time{}, err
	}
	info, err := f.consumer.Info(ctx)
	if err != nil {
		return time.Time{}, s.feed(q).AsFault(err)
	}
	if info.NumPending == 0 && info.NumAckPending == 0 {
		return time.Time{}, nil
	}
	m, err := natskit.Use(ctx, s.deliveries, func(stream jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return stream.GetMsg(ctx, info.AckFloor.Stream+1, jetstream.WithGetMsgSubject(queueSubject(q)))
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return m.Time, nil
}
