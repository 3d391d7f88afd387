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
	// probeTime is how long the event at the cursor may take to come again. A feed that is slow is asked again,
	// each time with more patience, through lastProbe.
	probeTime   = 5 * time.Second
	probeFactor = 3
	lastProbe   = probeTime * probeFactor * probeFactor
	// queueSize bounds how many events wait, and batchSize and batchBytes what goes to the log together.
	queueSize  = 4
	batchSize  = 256
	batchBytes = 8 << 20
)

// part is the one part of the cursor.
const part = "feed"

var _ fanout.LifecycleSource = (*Source)(nil)

// Source is the adapter for one shard. It is safe for concurrent use, but for Read.
type Source struct {
	address   string
	shard     int
	wants     func(payload []byte) bool
	transport http.RoundTripper
}

// New makes the source of a shard, whose feed is at host:port. types are the event types to hand on, in every
// spelling.
func New(address string, shard int, types []string) *Source {
	dialer := &net.Dialer{
		Timeout:         headTime,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return &Source{address: address, shard: shard, wants: fanout.OfTypes(types), transport: &http.Transport{
		DialContext:           dialer.DialContext,
		ResponseHeaderTimeout: headTime,
		DisableKeepAlives:     true,
		Proxy:                 http.ProxyFromEnvironment,
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
	errSilent  = errors.New("the feed sent nothing for too long")
	errNoProbe = errors.New("the feed did not send the event at the cursor")
	errReset   = errors.New("the feed no longer has the event at the cursor: it is read from its beginning")
)

// position is how far a feed was read: the sequence, and behind a slash the sequence through which events may
// have been read before, as long as that is larger.
type position struct{ last, known uint64 }

func parsePosition(text string) position {
	last, known, _ := strings.Cut(text, "/")
	var p position
	var err error
	if p.last, err = strconv.ParseUint(last, 10, 64); err != nil {
		return position{}
	}
	p.known, _ = strconv.ParseUint(known, 10, 64)
	return p
}

func (p position) String() string {
	text := strconv.FormatUint(p.last, 10)
	if p.known > p.last {
		text += "/" + strconv.FormatUint(p.known, 10)
	}
	return text
}

// Optional implements the port.
func (*Source) Optional() bool { return false }

// Read implements the port. A feed answers with what comes after a cursor and says nothing when its log
// is another one and shorter. So it is asked for the last event that was read once more: if that one does
// not come, however often it is asked for, the log was replaced, and it is read from its
// beginning. So it is when an older one comes.
func (s *Source) Read(
	ctx context.Context,
	cursor fanout.Cursor,
	report func(fanout.SourceState),
	take func(context.Context, fanout.SourceBatch) error,
) error {
	at := parsePosition(cursor[part])
	patience := probeTime
	for {
		found, err := s.read(ctx, &at, patience, report, take)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // its reader wants no more
		}
		if found {
			patience = probeTime
		}
		switch {
		case errors.Is(err, errSilent):
		case errors.Is(err, errNoProbe) && patience < lastProbe:
			patience *= probeFactor
		case errors.Is(err, errNoProbe), errors.Is(err, errReset):
			begin := position{known: max(at.last, at.known)}
			return errors.Join(errReset, take(ctx, fanout.SourceBatch{Part: part, Position: begin.String()}))
		default:
			return err
		}
	}
}

// read reads one answer of the feed and moves the position. found reports whether the event at the position came
// again, or a later one.
func (s *Source) read(
	ctx context.Context, at *position, patience time.Duration,
	report func(fanout.SourceState), take func(context.Context, fanout.SourceBatch) error,
) (found bool, err error) {
	probed := at.last
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := s.open(ctx, max(probed, 1)-1)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	report(fanout.SourceState{Reading: s.reading()})
	events, broken := make(chan feedEvent, queueSize), make(chan error, 1)
	go s.receive(ctx, resp, events, broken)
	wait, onSilence := silence, errSilent
	if probed > 0 {
		wait, onSilence = patience, errNoProbe
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return found, nil
		case err := <-broken:
			return found, err
		case <-timer.C:
			return found, onSilence
		case e, open := <-events:
			if !open {
				return found, nil // the feed ended in good order
			}
			b := fanout.SourceBatch{Part: part}
			next, size := *at, 0
			for more := true; more; {
				switch {
				case e.id == 0: // without a place it cannot be told from others
				case e.id < probed:
					return found, errReset
				case e.id > probed:
					found, next.last = true, e.id
					b.Position = next.String()
					if e.payload != nil {
						size += len(e.payload)
						b.Events = append(b.Events, fanout.SourceEvent{
							ID:      s.Name() + "-" + strconv.FormatUint(e.id, 10),
							Payload: e.payload,
							Again:   e.id <= at.known,
						})
					}
				default: // it was read before
					found = true
				}
				if more = len(b.Events) < batchSize && size < batchBytes; more {
					select {
					case e, more = <-events:
					default:
						more = false
					}
				}
			}
			if found {
				onSilence = errSilent
				timer.Reset(silence)
			}
			if b.Position == "" {
				continue
			}
			if err := take(ctx, b); err != nil {
				return found, err
			}
			*at = next
		}
	}
}

// open asks for what comes after a cursor.
func (s *Source) open(ctx context.Context, cursor uint64) (*http.Response, error) {
	after := strconv.FormatUint(cursor, 10)
	address := url.URL{
		Scheme:   "http",
		Host:     s.address,
		Path:     "/feed",
		RawQuery: url.Values{"shard": {strconv.Itoa(s.shard)}, "cursor": {after}}.Encode(),
	}
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
		return nil, fault.New(
			fault.BadGateway, "feed_refused", "the event feed answered with status "+strconv.Itoa(resp.StatusCode),
		)
	}
	return resp, nil
}

// feedEvent is one record of the feed; payload is nil for what is no event that anybody wants.
type feedEvent struct {
	id      uint64
	payload []byte
}

// receive reads the answer until it ends.
func (s *Source) receive(ctx context.Context, resp *http.Response, events chan<- feedEvent, broken chan<- error) {
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
		payload := payloadOf(e.Data)
		if !s.wants(payload) {
			payload = nil
		}
		select {
		case events <- feedEvent{id, payload}:
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
