package graphql

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// subprotocol is the only one that is spoken: github.com/enisdenjo/graphql-ws, PROTOCOL.md.
const subprotocol = "graphql-transport-ws"

// WebSocket configures GraphQL over WebSocket.
type WebSocket struct {
	// AllowOrigin decides about a browser's origin; nil allows none.
	AllowOrigin func(*http.Request) bool
	// Authenticate puts the token that came with connection_init into the context, or fails.
	// token is "" if none came: the upgrade request may have had one. The context that it
	// returns ends with the session, and the socket with it.
	Authenticate func(ctx context.Context, token string) (context.Context, error)
	// Limits bound what clients can make a socket cost.
	Limits SocketLimits
}

// overWebSocket is GraphQL over WebSocket. gqlgen's own transport cannot be used: it closes with
// codes that the protocol does not have, sends complete after error, knows no limit on messages,
// operations or writes, and takes the older graphql-ws too.
type overWebSocket struct {
	WebSocket
	answers  *Answers
	open     sockets
	upgrader websocket.Upgrader
	logger   *slog.Logger
}

var _ graphql.Transport = (*overWebSocket)(nil)

func newOverWebSocket(config WebSocket, answers *Answers, logger *slog.Logger) *overWebSocket {
	config.Limits = config.Limits.withDefaults()
	return &overWebSocket{
		WebSocket: config, answers: answers, logger: logger,
		open: sockets{
			limits: config.Limits, from: map[string]int{}, running: map[*socket]struct{}{}, empty: make(chan struct{}),
		},
		upgrader: websocket.Upgrader{
			ReadBufferSize: 1 << 10, WriteBufferSize: 4 << 10, WriteBufferPool: &sync.Pool{},
			Subprotocols: []string{subprotocol},
			CheckOrigin:  func(*http.Request) bool { return true }, // handshake has checked it, with an answer of ours
			Error: func(w http.ResponseWriter, r *http.Request, _ int, err error) {
				httpkit.WriteError(r.Context(), w, fault.Wrap(err, fault.Invalid, "bad_handshake",
					"this is no WebSocket handshake (RFC 6455, section 4.2.1)"))
			},
		},
	}
}

// Supports implements graphql.Transport.
func (*overWebSocket) Supports(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// Do implements graphql.Transport. It returns when the socket and everything that it started
// have ended.
func (t *overWebSocket) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	if err := t.handshake(w, r); err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	address := httpkit.AddressKey(httpkit.ClientOf(ctx))
	if err := t.open.enter(address); err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	defer t.open.leave(address)
	ws, err := t.upgrader.Upgrade(hijacker{w}, r, w.Header().Clone())
	if err != nil {
		return // it was answered, or the peer is gone
	}
	s := newSocket(ctx, ws, t, exec, r.Header)
	t.open.add(s)
	defer t.open.remove(s)
	s.run() //nolint:contextcheck // it has the request's
}

// handshake returns why an upgrade is refused. The upgrader checks the rest of it.
func (t *overWebSocket) handshake(w http.ResponseWriter, r *http.Request) error {
	switch {
	case !websocket.IsWebSocketUpgrade(r) || !slices.Contains(websocket.Subprotocols(r), subprotocol):
		w.Header().Set("Sec-WebSocket-Protocol", subprotocol)
		return fault.New(fault.Invalid, "unknown_subprotocol", "this WebSocket speaks "+subprotocol)
	case r.Header.Get("Origin") != "" && (t.AllowOrigin == nil || !t.AllowOrigin(r)):
		return fault.New(fault.Denied, "origin_denied",
			"this web origin may not open a WebSocket; CORS_ALLOWED_ORIGINS lists those that may")
	}
	return nil
}

// hijacker finds the server's connection through any wrapper of the ResponseWriter.
type hijacker struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// sockets are those that are open.
type sockets struct {
	limits SocketLimits

	mu       sync.Mutex
	all      int
	from     map[string]int // by address
	running  map[*socket]struct{}
	draining bool
	empty    chan struct{} // closed when the last one has ended and no other may begin
}

// socketPause is when a client that had too many sockets may try again.
const socketPause = 5 * time.Second

// enter counts a socket that is about to open.
func (s *sockets) enter(address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return fault.New(fault.Unavailable, "stopping", "the gateway restarts: connect again")
	case s.all >= s.limits.Sockets || s.from[address] >= s.limits.SocketsPerAddress:
		return fault.New(fault.RateLimited, "too_many_sockets",
			"too many GraphQL WebSockets are open; close some").After(socketPause)
	}
	s.all++
	s.from[address]++
	return nil
}

func (s *sockets) leave(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.from[address]--; s.from[address] == 0 {
		delete(s.from, address)
	}
	if s.draining && s.all == 0 {
		close(s.empty)
	}
}

// add lets drain find a socket.
func (s *sockets) add(one *socket) {
	s.mu.Lock()
	s.running[one] = struct{}{}
	draining := s.draining
	s.mu.Unlock()
	if draining {
		one.drain()
	}
}

func (s *sockets) remove(one *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, one)
}

// drain refuses new sockets, ends the open ones, and returns when they have ended or ctx has.
func (s *sockets) drain(ctx context.Context) {
	s.mu.Lock()
	if !s.draining {
		s.draining = true
		if s.all == 0 {
			close(s.empty)
		}
	}
	open := make([]*socket, 0, len(s.running))
	for one := range s.running {
		open = append(open, one)
	}
	s.mu.Unlock()
	for _, one := range open {
		one.drain()
	}
	select {
	case <-s.empty:
	case <-ctx.Done():
	}
}
