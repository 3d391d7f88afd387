package graphapi

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// WebSocket is what the graphql-transport-ws door needs (github.com/enisdenjo/graphql-ws,
// PROTOCOL.md).
type WebSocket struct {
	// AllowOrigin decides about a browser's origin; nil allows none.
	AllowOrigin func(*http.Request) bool
	// Authenticate puts the token that came with connection_init into the context, or fails.
	// token is "" if none came: the upgrade request may have had one.
	Authenticate func(ctx context.Context, token string) (context.Context, error)
	// MaxPerAddress bounds the connections of one client address; 0 is 200.
	MaxPerAddress int
}

// Limits of a connection: who opens one must authenticate soon, and all that a client may send
// over it is bounded, since the library reads a message of any size. A client that needs more
// connects again.
const (
	initTimeout  = 10 * time.Second
	pingInterval = 30 * time.Second
	maxReceived  = 8 << 20

	maxSockets          = 10_000
	maxSocketsOfAddress = 200
	socketPause         = 5 * time.Second
)

// subprotocol is the only one that is spoken; the library would take the older graphql-ws too.
const subprotocol = "graphql-transport-ws"

func (c WebSocket) transport() transport.Websocket {
	return transport.Websocket{
		Upgrader: websocket.Upgrader{
			ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, Subprotocols: []string{subprotocol},
			CheckOrigin: func(r *http.Request) bool {
				return r.Header.Get("Origin") == "" || c.AllowOrigin != nil && c.AllowOrigin(r)
			},
		},
		InitTimeout: initTimeout, PingPongInterval: pingInterval,
		InitFunc: func(ctx context.Context, payload transport.InitPayload) (context.Context, *transport.InitPayload, error) {
			live, err := c.Authenticate(ctx, tokenOf(payload))
			if v, ok := ctx.Value(verdictKey{}).(*verdict); ok && err != nil {
				v.refused.Store(true)
			}
			return live, nil, err
		},
	}
}

// tokenOf finds a session token where clients of GraphQL put one.
func tokenOf(payload transport.InitPayload) string {
	if scheme, token, ok := strings.Cut(payload.Authorization(), " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	for _, name := range []string{"session_token", "sessionToken", "x-session-token", "X-Session-Token"} {
		if token := payload.GetString(name); token != "" {
			return token
		}
	}
	return ""
}

// bounded refuses WebSockets that do not speak the subprotocol and bounds the others.
func (c WebSocket) bounded(next http.Handler) http.Handler {
	open := &sockets{from: map[string]int{}, most: cmp.Or(c.MaxPerAddress, maxSocketsOfAddress)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			next.ServeHTTP(w, r)
			return
		}
		if !websocket.IsWebSocketUpgrade(r) || !speaks(r) {
			w.Header().Set("Sec-WebSocket-Protocol", subprotocol)
			httpkit.WriteError(r.Context(), w, fault.New(fault.Invalid, "unknown_subprotocol", "this WebSocket speaks "+subprotocol))
			return
		}
		address := httpkit.AddressKey(httpkit.ClientOf(r.Context()))
		if !open.enter(address) {
			httpkit.WriteError(r.Context(), w, fault.New(fault.RateLimited, "too_many_sockets", "too many GraphQL WebSockets are open; close some").After(socketPause))
			return
		}
		defer open.leave(address) // the library's handler returns when the connection ends
		r.Header.Set("Sec-WebSocket-Protocol", subprotocol)
		v := &verdict{}
		metered := &meteredWriter{ResponseWriter: w, verdict: v}
		defer metered.end() // the library forgets connections whose first message it cannot read
		next.ServeHTTP(metered, r.WithContext(context.WithValue(r.Context(), verdictKey{}, v)))
	})
}

// sockets counts what is open. Each holds two goroutines and some buffers, authenticated or not.
type sockets struct {
	mu   sync.Mutex
	all  int
	from map[string]int
	most int // of one address
}

func (s *sockets) enter(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxSockets || s.from[address] >= s.most {
		return false
	}
	s.all++
	s.from[address]++
	return true
}

func (s *sockets) leave(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.from[address]--; s.from[address] == 0 {
		delete(s.from, address)
	}
}

func speaks(r *http.Request) bool {
	return slices.Contains(websocket.Subprotocols(r), subprotocol)
}

// verdict is what became of connection_init.
type verdict struct{ refused atomic.Bool }

type verdictKey struct{}

// meteredWriter hands out a connection that counts.
type meteredWriter struct {
	http.ResponseWriter
	verdict *verdict
	conn    net.Conn
}

func (w *meteredWriter) end() {
	if w.conn != nil {
		_ = w.conn.Close() // mostly it is closed already
	}
}

// Unwrap is found by http.ResponseController.
func (w *meteredWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *meteredWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.conn = conn
	return &meteredConn{Conn: conn, verdict: w.verdict}, rw, nil
}

var errReceivedTooMuch = errors.New("the client sent more than one connection may")

type meteredConn struct {
	net.Conn
	verdict  *verdict
	received atomic.Int64
}

// forbidden is the close code of graphql-transport-ws for a connection_init that is not accepted.
// The library closes with 1000, which clients take for an end in good order.
const forbidden = 4403

// Write implements net.Conn.
func (c *meteredConn) Write(p []byte) (int, error) {
	const closeFrame = 0x80 | websocket.CloseMessage // whole and, from a server, not masked (RFC 6455, section 5.5.1)
	if c.verdict.refused.Load() && len(p) >= 4 && p[0] == closeFrame && binary.BigEndian.Uint16(p[2:]) == websocket.CloseNormalClosure {
		p = slices.Clone(p)
		binary.BigEndian.PutUint16(p[2:], forbidden)
	}
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.received.Add(int64(n)) > maxReceived {
		return 0, errReceivedTooMuch
	}
	return n, err
}
