package httpapi

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// WebSockets serves GET /ws: the frames of an event stream as text messages, and requests from
// the client.
type WebSockets struct {
	streams  *Events
	limits   WebSocketLimits
	base     context.Context // of commands, which outlive the request that opened the connection
	upgrader websocket.Upgrader
	poller   *poller // nil where there is none
}

// messageTime is the default of [WebSocketLimits].
const messageTime = 30 * time.Second

// WebSocketLimits bound what one connection may cost.
type WebSocketLimits struct {
	MaxMessage int64         // bytes of one message from a client
	PerMinute  int           // messages from a client, control frames included
	Silence    time.Duration // a peer that says nothing for so long, pongs included, has gone
	Quiet      time.Duration // a peer that says nothing for so long is asked for a pong with each heartbeat
	Message    time.Duration // for a message that has begun to arrive to be whole; 0 is 30 s
}

// readBuffer holds a small message; a larger one is read past it. It stays with an idle
// connection, so it is the smallest that the library takes over from us.
const readBuffer = 288

// NewWebSockets makes the handler; [WebSockets.Run] must be running for messages to be read.
// streams does what both transports share. ctx gives its
// values to commands; its end does not stop them.
func NewWebSockets(ctx context.Context, streams *Events, limits WebSocketLimits) *WebSockets {
	if limits.Message == 0 {
		limits.Message = messageTime
	}
	poller, err := newPoller()
	if err != nil { // then each connection has a goroutine that waits
		poller = nil
	}
	return &WebSockets{
		streams: streams, limits: limits, base: context.WithoutCancel(ctx), poller: poller,
		upgrader: websocket.Upgrader{
			WriteBufferSize: 4 << 10, WriteBufferPool: &sync.Pool{},
			CheckOrigin: func(*http.Request) bool { return true }, // was checked, with an answer of ours
			Error: func(w http.ResponseWriter, r *http.Request, _ int, err error) {
				httpkit.WriteError(
					r.Context(),
					w,
					fault.Wrap(
						err, fault.Invalid, "bad_handshake",
						"this is no WebSocket handshake (RFC 6455, section 4.2.1)",
					),
				)
			},
		},
	}
}

// Run reads what clients send until ctx ends.
func (s *WebSockets) Run(ctx context.Context) error {
	if s.poller == nil {
		<-ctx.Done()
		return nil
	}
	defer context.AfterFunc(ctx, s.poller.close)()
	s.poller.run(func(c *wsConn) { go c.readable() })
	<-ctx.Done()
	return nil
}

// ServeHTTP opens a connection. Whatever is wrong is said with a status before it opens.
func (s *WebSockets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if !s.handshake(w, r) {
		return
	}
	attachment, err := s.streams.attach(ctx, r)
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	// The session belongs to the connection, not the URL that it may be a part of.
	conn := &wsConn{owner: s, token: attachment.Token, client: attachment.Client.ID}
	conn.socket.timeout = s.streams.WriteTimeout
	header := w.Header().Clone()
	ws, err := s.upgrader.Upgrade(&hijacker{ResponseWriter: w, conn: conn}, r, header)
	if err != nil {
		return // it was answered, or the peer is gone
	}
	conn.start(ws)
	//nolint:contextcheck // it outlives the request
	stream := s.streams.open(attachment, conn, firstMessages(attachment))
	if stream == nil {
		conn.linger()
		return
	}
	conn.stream = stream
	s.streams.confirm(ctx, attachment.Token)
	if !s.poller.add(conn) {
		go conn.wait() //nolint:contextcheck // it outlives the request
	}
}

// handshake answers what is no handshake, or one that we do not take.
func (s *WebSockets) handshake(w http.ResponseWriter, r *http.Request) bool {
	refuse := func(status int, code, message string) bool {
		httpkit.WriteJSON(w, status, httpkit.ErrorBody{Error: message, Code: code})
		return false
	}
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "this path takes GET")
	case r.ProtoMajor != 1:
		return refuse(http.StatusUpgradeRequired, "http_version", "WebSockets are served over HTTP/1.1")
	case !websocket.IsWebSocketUpgrade(r):
		w.Header().Set("Upgrade", "websocket")
		return refuse(
			http.StatusUpgradeRequired, "no_upgrade",
			"this path takes WebSocket connections; event streams are at /events",
		)
	case r.Header.Get("Sec-Websocket-Version") != "13":
		w.Header().Set("Sec-Websocket-Version", "13")
		return refuse(
			http.StatusUpgradeRequired, "websocket_version", "version 13 of the WebSocket protocol is spoken here",
		)
	case !s.streams.Origins.AllowWebSocket(r):
		return refuse(
			http.StatusForbidden, "origin_denied",
			"this web origin may not open a WebSocket; CORS_ALLOWED_ORIGINS lists those that may",
		)
	}
	return true
}

// hijacker gives the upgrader our socket in the place of the server's connection, and a reader
// into which we can look.
type hijacker struct {
	http.ResponseWriter
	conn *wsConn
}

var errEarly = errors.New("the client sent data before the handshake was complete")

// Hijack implements http.Hijacker, through any wrapper of the ResponseWriter.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if buffers.Reader.Buffered() > 0 {
		_ = c.Close()
		return nil, nil, errEarly
	}
	h.conn.socket.Conn = c
	h.conn.reader = bufio.NewReaderSize(&h.conn.socket, readBuffer)
	return &h.conn.socket, bufio.NewReadWriter(h.conn.reader, buffers.Writer), nil
}

// closeCode is what a connection is closed with (RFC 6455, section 7.4; 4000 and up are ours).
func closeCode(why fanout.Ending) (code int, text string) {
	switch why {
	case fanout.EndDrain:
		return websocket.CloseServiceRestart, "the gateway restarts: connect again"
	case fanout.EndClosed:
		return websocket.CloseServiceRestart, "an operator closed the connection: connect again"
	case fanout.EndExpired:
		return closeSession, "the session has expired"
	case fanout.EndRevoked:
		return closeSession, "the session was ended"
	default:
		return websocket.CloseTryAgainLater, "try again later"
	}
}

// closeSession says 401 in the private range of close codes.
const closeSession = 4401
