// Package httpkit is what every HTTP listener of the gateway shares: the handler of an
// operation behind go-kit's server, JSON in and out, the one error encoder, listeners that
// drain, and the admin routes.
package httpkit

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/telemetry"
)

// Listen opens a TCP listener. The error of a busy or forbidden port names the port and the
// setting that changes it.
func Listen(ctx context.Context, bind string, port int, setting string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(bind, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf(
			"port %d is in use: stop what uses it, or set %s to another port (0 picks a free one)", port, setting,
		)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %d may not be opened by this user: set %s to a port above 1023", port, setting)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s port %d (%s): %w", bind, port, setting, err)
	}
	return ln, nil
}

// URL returns the base URL of a listener as seen from this machine.
func URL(ln net.Listener) string { return address("http", ln) }

// SecureURL is [URL] for a listener that speaks TLS.
func SecureURL(ln net.Listener) string { return address("https", ln) }

func address(scheme string, ln net.Listener) string {
	host, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Server is a [run.Component] that serves a handler on a listener until its context ends,
// then stops accepting and lets requests in flight finish.
type Server struct {
	name    string
	ln      *listener
	handler http.Handler
	srv     *http.Server
	silent  silentConns
}

// silentConns are connections on which nothing was sent yet. Browsers and HTTP clients open
// some in advance, and Shutdown would wait 5 s for each.
type silentConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (s *silentConns) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateIdle { // the server has read the rest of the last body
		if under := underTLS(c); under != nil {
			under.linger.Store(false)
		}
	}
	if state == http.StateNew {
		s.conns[c] = struct{}{}
		return
	}
	delete(s.conns, c)
}

func (s *silentConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// silentGrace is what a request that is on its way when the server stops has to arrive.
const silentGrace = 300 * time.Millisecond

// Limits on what an unauthenticated peer can hold: the header (slowloris, header bombs) and
// idle keep-alive connections. Bodies and answers have no time limit here, because streams
// have none; [guard] and [conn] want them to go on. The streams and the buffers of HTTP/2 bound what one connection
// can hold of bodies that no handler has read yet.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 32 << 10
	drainTimeout   = 6 * time.Second
	http2Streams   = 128
	http2Buffer    = 256 << 10
)

// NewServer makes a server. onShutdown, if not nil, is called when it starts to stop: the
// place to end long-lived streams, which would otherwise hold the drain.
func NewServer(name string, ln net.Listener, h http.Handler, logger *slog.Logger, onShutdown func()) *Server {
	srv := &http.Server{
		Handler: guard(nil, h), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: http2Streams, MaxReceiveBufferPerConnection: http2Buffer,
			MaxReceiveBufferPerStream: http2Buffer,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, underTLS(c))
		},
	}
	if onShutdown != nil {
		srv.RegisterOnShutdown(onShutdown)
	}
	s := &Server{
		name: name, handler: h, srv: srv, silent: silentConns{conns: map[net.Conn]struct{}{}},
		ln: &listener{Listener: ln, by: map[netip.Addr]int{}},
	}
	srv.ConnState = s.silent.track
	return s
}

// underTLS returns the connection that the listener accepted.
func underTLS(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	ours, _ := c.(*conn)
	return ours
}

// Within makes the server keep the bounds of its process; nil bounds leave it without. exempt are proxies behind
// which are many clients.
func (s *Server) Within(b *Bounds, exempt Proxies) *Server {
	s.ln.bounds, s.ln.exempt = b, exempt
	s.srv.Handler = guard(b.bodies(), s.handler)
	return s
}

// WithTLS makes the server speak TLS, and HTTP/2 to clients that can; nil leaves it plain. Servers may be given the
// same one: net/http changes it, so that each has its own copy.
func (s *Server) WithTLS(cfg *tls.Config) *Server {
	s.srv.TLSConfig = cfg.Clone()
	return s
}

func (s *Server) serve() error {
	if s.srv.TLSConfig != nil {
		return s.srv.ServeTLS(s.ln, "", "")
	}
	return s.srv.Serve(s.ln)
}

// Name returns the name given to [NewServer].
func (s *Server) Name() string { return s.name }

// Close gives the listener of a server back that never runs.
func (s *Server) Close() error { return s.ln.Close() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.serve() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	defer time.AfterFunc(silentGrace, s.silent.close).Stop()
	if err := s.srv.Shutdown(drain); err != nil {
		_ = s.srv.Close()
		return fmt.Errorf("requests were still running: %w", err)
	}
	return nil
}

// RequestIDHeader is answered on every response and sent on to NoETL.
const RequestIDHeader = telemetry.RequestIDHeader

// Edge wraps a whole listener: a span per request, a request id, recovery and the headers
// that keep browsers from guessing. It is for handlers of ours, not for hijacking ones only:
// the ResponseWriter it passes on still unwraps to the server's.
func Edge(tel *telemetry.Telemetry, next http.Handler) http.Handler {
	traced := tel.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // the documented sentinel is compared by identity
				panic(p)
			}
			tel.Logger.ErrorContext(ctx, "handler panicked", "panic", p, "stack", string(debug.Stack()))
			WriteError(ctx, w, fault.New(fault.Internal, "panic", "internal error"))
		}()
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestIDHeader)
		if !telemetry.PlainID(id) || telemetry.HoldsSecret(r, id) { // it goes into logs
			id = newID()
		}
		r.Header[RequestIDHeader] = []string{id} // the only one, and in the context from here
		w.Header().Set(RequestIDHeader, id)
		guardBrowser(w.Header())
		traced.ServeHTTP(w, r)
	})
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
