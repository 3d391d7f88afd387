// Package eventfeed reads lifecycle events from the feed of NoETL's event store: server-sent events over
// HTTP, which is what servers without NATS have (wire contract, section 7).
package eventfeed

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Bounds of a feed.
const (
	// maxEvent bounds one event: a server's payloads hold whole results. A larger one is skipped.
	maxEvent = 16 << 20
	// silence is how long a feed may send nothing, not even a comment, before it is opened again, which
	// costs nothing. Servers of today send no comments while nothing happens.
	silence = 2 * time.Minute
	// headTime bounds connecting and the head of the answer.
	headTime = 10 * time.Second
	// probeTime is how long the event at the cursor may take to come again.
	probeTime = 5 * time.Second
	// batchSize bounds how many events go to the log together.
	batchSize = 256
)

// part is the one part of the cursor.
const part = "feed"

var _ fanout.LifecycleSource = (*Source)(nil)

// Source is the adapter for one shard. It is safe for concurrent use, but for Read.
type Source struct {
	address   string
	shard     int
	transport http.RoundTripper
}

// New makes the source of a shard, whose feed is at host:port.
func New(address string, shard int) *Source {
	dialer := &net.Dialer{Timeout: headTime, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	return &Source{address: address, shard: shard, transport: &http.Transport{
		DialContext: dialer.DialContext, ResponseHeaderTimeout: headTime, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment,
	}}
}

// Name implements the port.
func (s *Source) Name() string { return "feed-" + strconv.Itoa(s.shard) }

// reading is what readiness tells.
func (s *Source) reading() string {
	return "event feed of shard " + strconv.Itoa(s.shard)
}

// Settle implements the port: nobody can ask a feed how far it is.
func (s *Source) Settle(context.Context) error {
	return fanout.ErrCannotTell()
}

var (
	errSilent = errors.New("the feed sent nothing for too long")
	errReset  = errors.New("the feed no longer has the event at the cursor: it is read from its beginning")
)

// Optional implements the port.
func (*Source) Optional() bool { return false }

// Read implements the port. A feed answers with what comes after a cursor and says nothing when its log
// is another one and shorter. So it is asked for the last event that was read once more: if that one does
// not come, the log was replaced, and it is read from its beginning. Events that the log of lifecycle
// events has already are dropped there.
func (s *Source) Read(ctx context.Context, cursor fanout.Cursor, report func(fanout.SourceState), take func(context.Context, fanout.SourceBatch) error) error {
	position := cursor[part]
	var err error
	for {
		err = s.read(ctx, position, report, func(ctx context.Context, b fanout.SourceBatch) error {
			if err := take(ctx, b); err != nil {
				return err
			}
			position = b.Position
			return nil
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // its reader wants no more
		}
		if !errors.Is(err, errSilent) {
			break
		}
	}
	if errors.Is(err, errReset) {
		err = errors.Join(err, take(ctx, fanout.SourceBatch{Part: part, Position: "0"}))
	}
	if err != nil {
		report(fanout.SourceState{Problem: "the " + s.reading() + " cannot be read"})
	}
	return err
}

func (s *Source) read(ctx context.Context, position string, report func(fanout.SourceState), take func(context.Context, fanout.SourceBatch) error) error {
	last, err := strconv.ParseUint(position, 10, 64)
	if err != nil {
		last = 0
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := s.open(ctx, max(last, 1)-1)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	report(fanout.SourceState{Reading: s.reading()})
	events, broken := make(chan feedEvent, batchSize), make(chan error, 1)
	go receive(ctx, resp, events, broken)
	wait, onSilence := silence, errSilent
	if last > 0 {
		wait, onSilence = probeTime, errReset
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return err
		case <-timer.C:
			return onSilence
		case e, open := <-events:
			if !open {
				return nil // the feed ended in good order
			}
			onSilence = errSilent
			timer.Reset(silence)
			b := fanout.SourceBatch{Part: part}
			for more := true; more; {
				if e.id > 0 {
					b.Position = strconv.FormatUint(e.id, 10)
				}
				if e.payload != nil {
					b.Events = append(b.Events, fanout.SourceEvent{ID: s.Name() + "-" + strconv.FormatUint(e.id, 10), Payload: e.payload})
				}
				if more = len(b.Events) < batchSize; more {
					select {
					case e, more = <-events:
					default:
						more = false
					}
				}
			}
			if b.Position == "" {
				continue // comments, or an event without a place: nothing to remember
			}
			if err := take(ctx, b); err != nil {
				return err
			}
		}
	}
}

// open asks for what comes after a cursor.
func (s *Source) open(ctx context.Context, cursor uint64) (*http.Response, error) {
	after := strconv.FormatUint(cursor, 10)
	address := url.URL{Scheme: "http", Host: s.address, Path: "/feed", RawQuery: url.Values{"shard": {strconv.Itoa(s.shard)}, "cursor": {after}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", after)
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "feed_unreachable", "the event feed cannot be reached")
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fault.New(fault.BadGateway, "feed_refused", "the event feed answered with status "+strconv.Itoa(resp.StatusCode))
	}
	return resp, nil
}

// feedEvent is one record of the feed; payload is nil for what is no event.
type feedEvent struct {
	id      uint64
	payload []byte
}

// receive reads the answer until it ends.
func receive(ctx context.Context, resp *http.Response, events chan<- feedEvent, broken chan<- error) {
	in := httpkit.NewEventStreamReader(resp.Body, maxEvent)
	for {
		e, err := in.Next()
		if err != nil {
			// A feed has no length: its server ends it by closing the connection, which is io.EOF here.
			if errors.Is(err, io.EOF) {
				close(events)
			} else {
				broken <- fault.Wrap(err, fault.Unavailable, "feed_broken", "the event feed broke off")
			}
			return
		}
		id, err := strconv.ParseUint(strings.TrimSpace(e.ID), 10, 64)
		if err != nil {
			id = 0
		}
		select {
		case events <- feedEvent{id, payloadOf(e.Data)}:
		case <-ctx.Done():
			return
		}
	}
}

// payloadOf takes the event out of its record: the payload is a JSON text, or the object itself.
func payloadOf(record []byte) []byte {
	var r struct {
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(record, &r) != nil || len(r.Payload) == 0 {
		return nil
	}
	if r.Payload[0] != '"' {
		return r.Payload
	}
	var text string
	if json.Unmarshal(r.Payload, &text) != nil {
		return nil
	}
	return []byte(text)
}
