package graphql

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/noetl/gateway/libs/fault"
)

// Close codes of graphql-transport-ws. After 4403 and 4408 its clients try again, after 4403 with a
// new token if they can get one; the others are final.
const (
	closeInvalid      = 4400
	closeUnauthorized = 4401
	closeForbidden    = 4403
	closeInitTimeout  = 4408
	closeIDInUse      = 4409
	closeSecondInit   = 4429
)

// ending is why a socket ends.
type ending struct {
	code   int // of the close frame; 0 sends none: the peer is gone, or was told
	reason string
	flush  bool // the peer may first read what was queued
}

// socket is one connection. Its reader is the goroutine of the request that opened it; one other
// goroutine writes, and each operation has one. The first reason to end it counts: whoever has one
// calls finish, which cancels everything, and the writer says goodbye.
type socket struct {
	limits       SocketLimits
	ws           *websocket.Conn
	exec         graphql.GraphExecutor
	authenticate func(context.Context, string) (context.Context, error)
	header       http.Header // of the request that opened it
	logger       *slog.Logger
	answers      *Answers

	ctx      context.Context // ends with the socket
	cancel   context.CancelFunc
	finished sync.Once
	ending   chan ending
	written  chan struct{} // closed when the writer has ended
	work     sync.WaitGroup

	queue chan outgoing
	room  *semaphore.Weighted // bytes of the queue

	// Of the reader.
	messages *rate.Limiter
	bytes    *rate.Limiter
	refused  int  // messages beyond the rate in a row
	partial  bool // a message has begun to arrive

	mu          sync.Mutex
	closing     bool // nothing is read any more
	initialized bool
	session     context.Context // of operations; nil before connection_ack
	draining    bool
	operations  map[string]*operation // by id: those that the client waits for
	abandoned   int                   // those that it does not, and that still run
}

// outgoing is a message to the client.
type outgoing struct {
	body []byte
	of   *operation // nil if it is of the connection
	last bool       // of its operation
}

func newSocket(
	ctx context.Context, ws *websocket.Conn, t *overWebSocket, exec graphql.GraphExecutor, header http.Header,
) *socket {
	ctx, cancel := context.WithCancel(ctx)
	l := t.Limits
	perSecond := func(perMinute int) rate.Limit { return rate.Limit(float64(perMinute) / 60) }
	return &socket{
		limits:       l,
		ws:           ws,
		exec:         exec,
		authenticate: t.Authenticate,
		header:       header,
		logger:       t.logger,
		answers:      t.answers,
		ctx:          ctx,
		cancel:       cancel,
		ending:       make(chan ending, 1),
		written:      make(chan struct{}),
		queue:        make(chan outgoing, queueLength),
		room:         semaphore.NewWeighted(l.QueueBytes),
		messages:     rate.NewLimiter(perSecond(l.MessagesPerMinute), max(minBurst, l.MessagesPerMinute/6)),
		bytes:        rate.NewLimiter(perSecond(l.BytesPerMinute), max(l.BytesPerMinute, int(l.MessageBytes))),
		operations:   map[string]*operation{},
	}
}

// run serves the socket until it has ended, with everything that it started.
func (s *socket) run() {
	late := time.AfterFunc(s.limits.Init, func() {
		s.mu.Lock()
		initialized := s.initialized
		s.mu.Unlock()
		if !initialized {
			s.finish(ending{code: closeInitTimeout, reason: "Connection initialisation timeout"})
		}
	})
	defer late.Stop()
	defer context.AfterFunc(s.ctx, func() { // or the request has, which nothing here does
		s.finish(ending{code: websocket.CloseGoingAway, reason: "the request has ended"})
	})()
	go s.write()
	defer s.work.Wait()
	defer s.linger()
	defer func() { <-s.written }()
	defer s.finish(ending{})
	s.read()
}

// finish ends the socket. Only the first call has an effect.
func (s *socket) finish(why ending) {
	s.finished.Do(func() {
		wait := closeWait
		if why.flush {
			wait = flushWait
		}
		time.AfterFunc(wait, func() { _ = s.ws.Close() }) // whatever the writer or linger waits for
		s.ending <- why
		s.cancel()
	})
}

// linger gives the peer a while to read our close frame and to close: closing with bytes of it
// unread would reset the connection and take the frame from it.
func (s *socket) linger() {
	conn := s.ws.NetConn()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(closeWait))
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}

var errFlood = errors.New("too many messages")

// read handles what the client sends until the socket ends.
func (s *socket) read() {
	s.ws.SetReadLimit(maxInitBytes)
	s.ws.SetPongHandler(func(string) error { return s.control(nil) })
	s.ws.SetPingHandler(func(data string) error {
		return s.control(func() error {
			return s.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(s.limits.Write))
		})
	})
	for {
		why, ok := s.next()
		if !ok {
			s.finish(why)
			return
		}
	}
}

// next handles one message, and reports whether another may come.
func (s *socket) next() (why ending, ok bool) {
	s.partial = false
	s.await(2 * s.limits.Ping)
	kind, r, err := s.ws.NextReader()
	var body []byte
	if err == nil {
		s.partial = true
		s.await(s.limits.MessageTime)
		body, err = io.ReadAll(r)
	}
	switch {
	case errors.Is(err, errFlood):
		return ending{code: websocket.ClosePolicyViolation, reason: "too many messages"}, false
	case err != nil: // it closed, went, or broke RFC 6455, which the library has answered
		return ending{}, false
	case kind != websocket.TextMessage:
		return ending{code: closeInvalid, reason: "Invalid message: it must be text"}, false
	case !utf8.Valid(body):
		return ending{code: websocket.CloseInvalidFramePayloadData, reason: "text messages are UTF-8"}, false
	case s.bytes.WaitN(s.ctx, len(body)) != nil: // it has ended
		return ending{}, false
	}
	m, err := decode(body)
	if err != nil {
		return ending{code: closeInvalid, reason: "Invalid message: " + err.Error()}, false
	}
	return s.handle(m)
}

// await sets when the reader gives up.
func (s *socket) await(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		_ = s.ws.SetReadDeadline(time.Now().Add(d)) // reading will tell
	}
}

// stopReading ends the reader.
func (s *socket) stopReading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	_ = s.ws.SetReadDeadline(time.Now())
}

// control counts a control frame, and answers it within the rate. It is a sign of life, but
// does not give a message that has begun more time.
func (s *socket) control(answer func() error) error {
	if !s.partial {
		s.await(2 * s.limits.Ping)
	}
	wait, flood := s.count()
	switch {
	case flood:
		return errFlood
	case wait > 0 || answer == nil:
		return nil
	}
	return answer()
}

// count counts a message. wait is above 0 for one beyond the rate; after too many of these in a
// row it is a flood.
func (s *socket) count() (wait time.Duration, flood bool) {
	r := s.messages.Reserve()
	if wait = r.Delay(); wait > 0 {
		r.Cancel()
		s.refused++
		return wait, s.refused > maxRefused
	}
	s.refused = 0
	return 0, false
}

// handle does what a message says, and reports whether another may come.
func (s *socket) handle(m message) (why ending, ok bool) {
	wait, flood := s.count()
	if flood {
		return ending{code: websocket.ClosePolicyViolation, reason: "too many messages"}, false
	}
	switch m.kind {
	case typeInit:
		return s.initialize(m)
	case typeSubscribe:
		return s.subscribe(m, wait)
	case typeComplete:
		s.forget(m.id)
	case typePing:
		if wait == 0 {
			s.pong(m)
		}
	}
	return ending{}, true
}

func (s *socket) pong(m message) {
	var payload any
	if m.echo != nil {
		payload = m.echo
	}
	if body, err := encode(typePong, "", payload); err == nil { // which it is: it was decoded
		s.send(s.ctx, outgoing{body: body})
	}
}

// initialize authenticates beside the reader: a client that does not wait for connection_ack is
// told so, and one that goes meanwhile ends the attempt.
func (s *socket) initialize(m message) (why ending, ok bool) {
	s.mu.Lock()
	second := s.initialized
	s.initialized = true
	s.mu.Unlock()
	if second {
		return ending{code: closeSecondInit, reason: "Too many initialisation requests"}, false
	}
	s.ws.SetReadLimit(s.limits.MessageBytes)
	s.work.Go(func() {
		defer s.recovered(s.ctx, func() {
			s.finish(ending{code: websocket.CloseInternalServerErr, reason: "internal error"})
		})
		session, err := s.authenticate(s.ctx, tokenOf(m.payload))
		if err != nil {
			s.finish(refusal(err))
			return
		}
		s.mu.Lock()
		s.session = session
		s.mu.Unlock()
		context.AfterFunc(session, func() {
			if s.ctx.Err() == nil {
				s.finish(ending{code: closeForbidden, reason: "Forbidden: the session has ended"})
			}
		})
		if body, err := encode(typeAck, "", nil); err == nil { // it is constant
			s.send(s.ctx, outgoing{body: body})
		}
	})
	return ending{}, true
}

// refusal tells a client that may not connect from one that should try again.
func refusal(err error) ending {
	switch kind, _ := fault.KindOf(err); kind {
	case fault.Unauthenticated, fault.Denied:
		return ending{code: closeForbidden, reason: "Forbidden"}
	default:
		return ending{code: websocket.CloseTryAgainLater, reason: "try again later"}
	}
}

// recovered handles a panic of work beside the reader, which would end the process.
func (s *socket) recovered(ctx context.Context, answer func()) {
	if p := recover(); p != nil {
		s.logger.ErrorContext(ctx, "GraphQL over WebSocket panicked", "panic", p, "stack", string(debug.Stack()))
		answer()
	}
}
