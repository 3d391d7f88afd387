// Package natsinbox keeps the inbox of deliveries in JetStream: what came, what became of it, and what is still to be
// dispatched.
package natsinbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Names of what only ingress uses.
const (
	Deliveries = "GATEWAY_DELIVERIES"
	States     = "GATEWAY_DELIVERY_STATES"
	Rejected   = "GATEWAY_REJECTED"
	Bodies     = "gateway_delivery_bodies" // its stream is OBJ_gateway_delivery_bodies
	ControlKV  = string(natskit.Controls)  // its stream is KV_gateway_ingress_control
)

// Config bounds the inbox.
type Config struct {
	Replicas  int
	Room      natskit.Room // of the bucket of controls
	Retention time.Duration
	// MaxBytes is shared by the streams; see [Config.Streams]. BodiesMaxBytes is of bodies that exceed a message.
	MaxBytes, BodiesMaxBytes int64
	Logger                   *slog.Logger
	Propagator               propagation.TextMapPropagator
	NewID                    func() string
}

// Streams returns how many bytes each stream may hold. A record is smaller than its delivery, so that there is room
// for the outcome of whatever was stored.
func (c Config) Streams() (deliveries, states, rejected int64) {
	rejected = c.MaxBytes / 16
	states = c.MaxBytes / 16 * 6
	return c.MaxBytes - states - rejected, states, rejected
}

// Total is what one replica of all of it may hold.
func (c Config) Total() int64 { return c.MaxBytes + c.BodiesMaxBytes + c.Room.Of(natskit.Controls) }

// Store is the adapter of all ports of the inbox. It is safe for concurrent use.
type Store struct {
	Config

	js         jetstream.JetStream
	nc         *nats.Conn
	deliveries *natskit.Lazy[jetstream.Stream]
	states     *natskit.Lazy[jetstream.Stream]
	rejected   *natskit.Lazy[jetstream.Stream]
	bodies     *natskit.Lazy[jetstream.ObjectStore]
	control    *natskit.Lazy[jetstream.KeyValue]
	consumers  consumers
	inbox      *writes // to deliveries
	outcomes   *writes // to states
	refusals   *writes // to rejected
	keeping    chan ingress.Rejection
}

var (
	_ ingress.Inbox      = (*Store)(nil)
	_ ingress.Records    = (*Store)(nil)
	_ ingress.Queues     = (*Store)(nil)
	_ ingress.Controls   = (*Store)(nil)
	_ ingress.Announcer  = (*Store)(nil)
	_ ingress.Rejections = (*Store)(nil)
)

// rejectedAge is how long a rejected delivery is kept.
const rejectedAge = 24 * time.Hour

// duplicates is how long NATS remembers ids of messages; none of ours has one.
const duplicates = 2 * time.Minute

// New makes the store; streams and buckets are made when they are first needed.
func New(js jetstream.JetStream, cfg Config) *Store {
	deliveries, states, rejected := cfg.Streams()
	stream := func(name, what string, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Description: what, Subjects: subjects, Storage: jetstream.FileStorage, Replicas: cfg.Replicas,
			MaxAge: cfg.Retention, AllowDirect: true,
			MaxMsgsPerSubject: -1, Duplicates: duplicates, // as NATS says them when they are not set
		}
	}
	in := stream(Deliveries, "Deliveries to the NoETL gateway's listeners.", subjectIn+">", subjectAgain+">")
	in.MaxBytes, in.Discard, in.AllowAtomicPublish = deliveries, jetstream.DiscardNew, true
	// Without room for an outcome nothing would ever be done; what is discarded is the oldest outcome.
	state := stream(States, "What became of deliveries.", subjectState+">")
	state.MaxBytes, state.MaxMsgsPerSubject, state.Discard = states, 1, jetstream.DiscardOld
	state.AllowAtomicPublish = true
	refused := stream(Rejected, "Deliveries that were not accepted.", subjectRejected+">")
	refused.MaxBytes, refused.MaxAge, refused.Discard = rejected, rejectedAge, jetstream.DiscardOld
	s := &Store{
		Config: cfg, js: js, nc: js.Conn(),
		deliveries: natskit.Stream(js, in, cfg.Logger),
		states:     natskit.Stream(js, state, cfg.Logger),
		rejected:   natskit.Stream(js, refused, cfg.Logger),
		bodies: natskit.Objects(js, jetstream.ObjectStoreConfig{
			Bucket: Bodies, Description: "Bodies of deliveries that exceed a message.", TTL: cfg.Retention + time.Hour,
			MaxBytes: cfg.BodiesMaxBytes, Storage: jetstream.FileStorage, Replicas: cfg.Replicas,
		}),
		control: cfg.Room.Bucket(js, natskit.Controls, jetstream.KeyValueConfig{
			Bucket: ControlKV, Description: "Listeners of the NoETL gateway: paused ones, and their configurations.",
			Storage: jetstream.FileStorage, LimitMarkerTTL: time.Hour,
		}),
		consumers: consumers{of: map[ingress.Queue]*natskit.Lazy[*feed]{}},
		keeping:   make(chan ingress.Rejection, keepQueue),
	}
	s.inbox = &writes{js: js, stream: s.deliveries, least: groupMin}
	s.outcomes = &writes{js: js, stream: s.states, least: groupMin}
	s.refusals = &writes{js: js, stream: s.rejected, least: groupMin}
	return s
}

// Storage returns a check that NATS stores, for readiness.
func (s *Store) Storage() *natskit.Storage { return natskit.NewStorage(s.js, s.control) }

// Ready reports whether NATS keeps the streams of the inbox, and makes them if they are missing.
func (s *Store) Ready(ctx context.Context) error {
	for _, stream := range []*natskit.Lazy[jetstream.Stream]{s.deliveries, s.states} {
		if _, err := stream.Get(ctx); natskit.Full(err) {
			return fault.Wrap(err, fault.Unavailable, "inbox_has_no_room",
				"NATS has no room for the inbox, so that no delivery is accepted: lower INGRESS_INBOX_MAX_BYTES, or "+
					"give NATS more")
		} else if err != nil {
			return err
		}
	}
	return nil
}

// inlineMax is the largest body that travels in the message, in bytes: what waits to be dispatched is held in memory.
const inlineMax = 256 << 10

// metaRoom is what the rest of the message may take.
const metaRoom = 64 << 10

func (s *Store) inline(d *ingress.Delivery) bool {
	return int64(len(d.Body)) <= min(inlineMax, max(s.nc.MaxPayload()-metaRoom, 0))
}

// claimTries bounds how often a claim is tried whose holder disappears meanwhile.
const claimTries = 5

// Store implements the port.
func (s *Store) Store(
	ctx context.Context, d *ingress.Delivery, key string, window time.Duration,
) (*ingress.Delivery, error) {
	d.ID = key
	if !s.inline(d) {
		if err := s.putBody(ctx, d); err != nil {
			return nil, err
		}
	}
	first, err := s.claim(ctx, d, key, window)
	if (err != nil || first != nil) && d.Object != "" {
		s.dropBody(ctx, d.Object)
	}
	return first, err
}

func (s *Store) claim(
	ctx context.Context, d *ingress.Delivery, key string, window time.Duration,
) (*ingress.Delivery, error) {
	subject := subjectOf(subjectIn, d.Listener, d.Partition, key)
	everywhere := subjectOf(subjectIn, d.Listener, "*", key)
	var expected uint64
	for range claimTries {
		ack, err := s.inbox.put(ctx, s.message(ctx, subject, encode(d)), expected, everywhere)
		won, err := natskit.Won(err)
		switch {
		case natskit.Full(err):
			return nil, ingress.InboxFull(err)
		case err != nil:
			return nil, err
		case won:
			d.Sequence = ack
			return nil, nil
		}
		first, found, err := s.last(ctx, s.deliveries, everywhere)
		if err != nil {
			return nil, err
		}
		if !found { // it has just aged out
			expected = 0
			continue
		}
		held, err := decode(first)
		if err == nil && time.Since(first.Time) < window {
			held.Body = nil
			return &held, nil
		}
		expected, d.ID = first.Sequence, ingress.LaterKey(key, first.Sequence)
	}
	return nil, fault.New(fault.Unavailable, "inbox_busy", "the same delivery is being stored: send it again")
}

// message returns a message with the trace of ctx.
func (s *Store) message(ctx context.Context, subject string, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: data, Header: natskit.Inject(ctx, s.Propagator, nats.Header{})}
}

// encode writes a delivery: what is known of it as one line of JSON, then its body.
func encode(d *ingress.Delivery) []byte {
	meta, err := json.Marshal(d)
	if err != nil { // the trace of a sender may hold what JSON cannot; nothing else can
		d.Decision.Trace = nil
		meta, _ = json.Marshal(d)
	}
	if d.Object != "" {
		return append(meta, '\n')
	}
	out := make([]byte, 0, len(meta)+1+len(d.Body))
	return append(append(append(out, meta...), '\n'), d.Body...)
}

var errUnreadable = errors.New("the message is no delivery")

func decode(m stored) (ingress.Delivery, error) {
	meta, body, ok := bytes.Cut(m.Data, []byte{'\n'})
	var d ingress.Delivery
	if !ok {
		return d, errUnreadable
	}
	if err := json.Unmarshal(meta, &d); err != nil {
		return d, errors.Join(errUnreadable, err)
	}
	d.Sequence = m.Sequence
	if d.Object == "" {
		d.Body = body
	}
	return d, nil
}

// Load implements the port.
func (s *Store) Load(ctx context.Context, sequence uint64) (ingress.Delivery, error) {
	m, err := natskit.Use(ctx, s.deliveries, func(stream jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return stream.GetMsg(ctx, sequence)
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return ingress.Delivery{}, gone(err)
	}
	if err != nil {
		return ingress.Delivery{}, err
	}
	d, err := decode(stored{Subject: m.Subject, Sequence: m.Sequence, Data: m.Data, Time: m.Time})
	if err != nil {
		return d, gone(err)
	}
	if d.Object != "" {
		d.Body, err = s.Body(ctx, d)
	}
	return d, err
}

// Lookup implements the port.
func (s *Store) Lookup(ctx context.Context, id string) (ingress.Delivery, bool, error) {
	if !validID(id) {
		return ingress.Delivery{}, false, nil
	}
	m, found, err := s.last(ctx, s.deliveries, subjectIn+"*.*."+id)
	if err != nil || !found {
		return ingress.Delivery{}, false, err
	}
	d, err := decode(m)
	d.Body = nil
	return d, err == nil && d.ID == id, nil // what cannot be read is not there
}

func gone(err error) error {
	return fault.Wrap(err, fault.NotFound, "delivery_gone", "the delivery is no longer kept")
}

// Again implements the port.
func (s *Store) Again(ctx context.Context, r ingress.Redrive) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.inbox.put(ctx, s.message(ctx, subjectOf(subjectAgain, r.Listener, r.Partition, r.ID), data), 0, "")
	if natskit.Full(err) {
		return ingress.InboxFull(err)
	}
	return err
}
