package graphapi

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/gorilla/websocket"
)

// WebSocket is what the graphql-transport-ws door needs (github.com/enisdenjo/graphql-ws,
// PROTOCOL.md).
type WebSocket struct {
	// AllowOrigin decides about a browser's origin; nil allows none.
	AllowOrigin func(*http.Request) bool
	// Authenticate puts the token that came with connection_init into the context, or fails.
	// token is "" if none came: the upgrade request may have had one.
	Authenticate func(ctx context.Context, token string) (context.Context, error)
}

// Limits of a connection: who opens one must authenticate soon, and all that a client may send
// over it is bounded, since the library reads a message of any size. A client that needs more
// connects again.
const (
	initTimeout  = 10 * time.Second
	pingInterval = 30 * time.Second
	maxReceived  = 8 << 20
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
			ctx, err := c.Authenticate(ctx, tokenOf(payload))
			return ctx, nil, err
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			next.ServeHTTP(w, r)
			return
		}
		if !websocket.IsWebSocketUpgrade(r) || !speaks(r) {
			w.Header().Set("Sec-WebSocket-Protocol", subprotocol)
			http.Error(w, `{"error":"this WebSocket speaks `+subprotocol+`"}`, http.StatusBadRequest)
			return
		}
		r.Header.Set("Sec-WebSocket-Protocol", subprotocol)
		next.ServeHTTP(&meteredWriter{w}, r)
	})
}

func speaks(r *http.Request) bool {
	return slices.Contains(websocket.Subprotocols(r), subprotocol)
}

// meteredWriter hands out a connection that counts.
type meteredWriter struct{ http.ResponseWriter }

// Unwrap is found by http.ResponseController.
func (w *meteredWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *meteredWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &meteredConn{Conn: conn}, rw, nil
}

var errReceivedTooMuch = errors.New("the client sent more than one connection may")

type meteredConn struct {
	net.Conn
	received atomic.Int64
}

// Read implements net.Conn.
func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.received.Add(int64(n)) > maxReceived {
		return 0, errReceivedTooMuch
	}
	return n, err
}
