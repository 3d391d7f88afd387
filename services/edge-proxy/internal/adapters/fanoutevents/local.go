package fanoutevents

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
)

// Local carries HTTP to a handler of the same process without a port: real connections over
// memory, because event streams take theirs over. It is a run.Component.
type Local struct {
	handler http.Handler
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// NewLocal makes a Local; it serves while Run runs.
func NewLocal(h http.Handler) *Local {
	return &Local{handler: h, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Name returns the component's name.
func (*Local) Name() string { return "local event streams" }

// Run serves until ctx ends.
func (l *Local) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           l.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if own, ok := c.(loopback); ok && own.client.IsValid() {
				return httpkit.WithClient(ctx, own.client)
			}
			return ctx
		},
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Transport returns the way in.
func (l *Local) Transport() http.RoundTripper {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ours, theirs, err := pair()
			if err != nil {
				return nil, err
			}
			select {
			case l.conns <- loopback{theirs, httpkit.ClientOf(ctx)}:
				return ours, nil
			case <-l.closed:
				err = net.ErrClosed
			case <-ctx.Done():
				err = ctx.Err()
			}
			_, _ = ours.Close(), theirs.Close()
			return nil, err
		},
	}
}

// Accept implements net.Listener.
func (l *Local) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Local) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (*Local) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// loopback is a connection of this machine, for a client whose address the listener knows. Each
// serves one request.
type loopback struct {
	net.Conn
	client netip.Addr
}

// SyscallConn implements syscall.Conn, so that the other side can be asked whether it is there.
func (c loopback) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// RemoteAddr implements net.Conn.
func (loopback) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
