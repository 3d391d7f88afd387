package httpkit

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// writeWait is how long a peer may take nothing of what is written to it: one that asks and never reads would hold
// its answer and the kernel's buffers for as long as it likes. It is the same on every listener. A proxy in front
// may wait longer for its own client, but it takes what fits into its buffers first.
const writeWait = 10 * time.Second

// writeLeast is what a peer must take within writeWait, in bytes, to count as slow and not as stuck.
const writeLeast = 4 << 10

// A connection that ends while its peer still sends is read on for a while, and what comes is discarded: to close
// it would reset it, and the peer would lose the answer that says why (RFC 9112, section 9.6). A peer that sends
// more, or for longer, loses it.
const (
	lingerBytes   = 64 << 20
	lingerTime    = 30 * time.Second
	lingerSilence = 5 * time.Second
)

// listener counts connections and bounds how many there are, together and for each address. Both cost O(1): an
// address that opens more than it may must not cost more than the accept.
type listener struct {
	net.Listener
	bounds *Bounds // nil bounds nothing
	exempt Proxies // may have any number of connections: many clients share each of these addresses

	mu   sync.Mutex
	open int
	by   map[netip.Addr]int
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key := l.key(c.RemoteAddr())
		if limit := l.admit(key); limit != "" {
			l.bounds.refused(limit)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // nothing was promised, and nothing is kept
			}
			_ = c.Close()
			continue
		}
		limitUnsent(c)
		return &conn{Conn: c, leave: sync.OnceFunc(func() { l.leave(key) })}, nil
	}
}

// key is what a connection counts by; the zero Addr stands for those that are not counted by address.
func (l *listener) key(remote net.Addr) netip.Addr {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.IsLoopback() || l.exempt.Trust(addr) {
		return netip.Addr{}
	}
	return network(addr)
}

// admit counts a connection, or says which limit it is beyond.
func (l *listener) admit(key netip.Addr) (limit string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bounds != nil {
		switch {
		case l.open >= l.bounds.Connections:
			return "connections"
		case key.IsValid() && l.by[key] >= l.bounds.ConnectionsPerAddress:
			return "connections_address"
		}
	}
	l.open++
	if key.IsValid() {
		l.by[key]++
	}
	return ""
}

func (l *listener) leave(key netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	switch n := l.by[key]; {
	case !key.IsValid():
	case n > 1:
		l.by[key] = n - 1
	default:
		delete(l.by, key)
	}
}

type connKey struct{}

// conn is a connection of a [Server], under TLS if there is any. Whoever takes it over and sets a deadline for
// writing has that deadline, and no other.
type conn struct {
	net.Conn
	leave  func()      // gives its place back
	own    atomic.Bool // somebody set a deadline for writing
	linger atomic.Bool // the peer may still be sending
	drains atomic.Bool // and is read to its end

	written atomic.Int64           // bytes
	ended   atomic.Pointer[func()] // called when it is closed, see whenClosed
}

// closed stands in conn.ended for a connection that was closed.
func closed() {}

// whenClosed calls f when the connection is closed, immediately if it is. It is called once at most.
func (c *conn) whenClosed(f func()) {
	if !c.ended.CompareAndSwap(nil, &f) {
		f()
	}
}

func (c *conn) tellClosed() {
	gone := closed
	if f := c.ended.Swap(&gone); f != nil {
		(*f)()
	}
}

// Write implements net.Conn. It fails when the peer takes less than writeLeast within writeWait.
func (c *conn) Write(p []byte) (done int, err error) {
	defer func() { c.written.Add(int64(done)) }()
	for {
		if c.own.Load() {
			n, err := c.Conn.Write(p[done:])
			return done + n, err
		}
		_ = c.Conn.SetWriteDeadline(time.Now().Add(writeWait))
		n, err := c.Conn.Write(p[done:])
		done += n
		if err == nil || n < writeLeast || !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
	}
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.own.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.own.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

var errNoSyscalls = errors.New("the connection is no socket")

// SyscallConn implements syscall.Conn: those who take over a connection look at its socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errNoSyscalls
}

// CloseWrite is found by net/http, which waits for half a second after it: a peer that still sends is read from then
// on.
func (c *conn) CloseWrite() error {
	if c.drained() {
		return nil
	}
	return c.closeWrite()
}

func (c *conn) closeWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements net.Conn. It does not wait for a peer that still sends.
func (c *conn) Close() error {
	c.tellClosed()
	if c.drained() {
		return nil
	}
	defer c.leave()
	return c.Conn.Close()
}

// drained begins to read to its end a peer that may still be sending, and reports whether somebody does.
func (c *conn) drained() bool {
	if c.linger.CompareAndSwap(true, false) {
		c.drains.Store(true)
		go c.drain()
	}
	return c.drains.Load()
}

//nolint:gochecknoglobals // memory that lingering connections share
var lingerBuffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// drain discards what the peer still sends, and closes the connection when it has ended, or sent enough.
func (c *conn) drain() {
	defer c.leave()
	defer func() { _ = c.Conn.Close() }()
	if c.closeWrite() != nil {
		return // the peer is gone
	}
	buffer, _ := lingerBuffers.Get().(*[16 << 10]byte)
	defer lingerBuffers.Put(buffer)
	end := time.Now().Add(lingerTime)
	for left := lingerBytes; left > 0; {
		next := time.Now().Add(lingerSilence)
		if end.Before(next) {
			next = end
		}
		if c.SetReadDeadline(next) != nil {
			return
		}
		n, err := c.Read(buffer[:])
		if left -= n; err != nil {
			return
		}
	}
}
