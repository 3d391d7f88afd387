// Package relay passes bytes between pairs of connections that were taken over from HTTP. An idle pair has no
// goroutine and no buffer: one goroutine waits for all of them. It needs Linux.
package relay

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// rounds bounds how often one connection is read before the others have their turn.
const rounds = 4

// bufferSize is that of the one buffer, in bytes.
const bufferSize = 32 << 10

// halfClosed is how long the second side of a pair may take to end after the first.
const halfClosed = 10 * time.Second

// Relay is a [run.Component]. It is safe for concurrent use.
type Relay struct {
	poll *poller

	mu    sync.Mutex
	last  uint64
	pairs map[uint64]*pair // by a number of ours: the kernel uses its own again immediately
	ended bool
}

// The two sides of a pair.
const (
	client   = 0
	upstream = 1
)

type pair struct {
	number uint64
	ends   [2]end
	duplex bool // what the client sends is passed on too

	// Only the goroutine of Run uses them.
	done  [2]bool // this side sends nothing any more
	timer *time.Timer
}

type end struct {
	conn net.Conn
	raw  syscall.RawConn
}

// New makes a relay. It fails where there is no epoll.
func New() (*Relay, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &Relay{poll: poll, pairs: map[uint64]*pair{}}, nil
}

// Name returns the component's name.
func (r *Relay) Name() string { return "relayed streams" }

// Downstream passes on what up sends until either side ends its own. What the client sends stays unread: of an
// event stream it is nothing. It takes both connections over, whatever happens.
func (r *Relay) Downstream(down, up net.Conn) { r.join(down, up, false) }

// Duplex passes on what both sides send. When one has ended its sending, the other learns it, and has a while to end
// too. It takes both connections over, whatever happens.
func (r *Relay) Duplex(down, up net.Conn) { r.join(down, up, true) }

func (r *Relay) join(down, up net.Conn, duplex bool) {
	p := &pair{duplex: duplex, ends: [2]end{{conn: down}, {conn: up}}}
	if !p.open() || !r.register(p) {
		p.close()
		return
	}
	if !r.watch(p, client, opAdd) || !r.watch(p, upstream, opAdd) {
		r.end(p)
	}
}

// open finds the sockets of both connections.
func (p *pair) open() bool {
	for i := range p.ends {
		e := &p.ends[i]
		socket, ok := e.conn.(syscall.Conn)
		if !ok {
			return false
		}
		var err error
		if e.raw, err = socket.SyscallConn(); err != nil {
			return false
		}
	}
	return true
}

func (p *pair) close() {
	for _, e := range p.ends {
		_ = e.conn.Close()
	}
}

func (r *Relay) register(p *pair) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.last++
	p.number = r.last
	r.pairs[p.number] = p
	return true
}

// watch asks for one report of a side.
func (r *Relay) watch(p *pair, side, op int) bool {
	mark := p.number<<1 | uint64(side) //nolint:gosec // 0 or 1
	return r.poll.watch(p.ends[side].raw, op, mark, side == upstream || p.duplex)
}

// end ends a pair. Who comes first closes it.
func (r *Relay) end(p *pair) {
	r.mu.Lock()
	_, ours := r.pairs[p.number]
	delete(r.pairs, p.number)
	r.mu.Unlock()
	if ours {
		p.close()
	}
}

// Len returns how many pairs there are.
func (r *Relay) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pairs)
}

// End ends all pairs, and those that come later immediately.
func (r *Relay) End() {
	r.mu.Lock()
	all := r.pairs
	r.pairs, r.ended = map[uint64]*pair{}, true
	r.mu.Unlock()
	for _, p := range all {
		p.close()
	}
}

var errPoll = errors.New("the relay cannot wait for its connections")

// Run passes bytes on until ctx ends; then it ends all pairs.
func (r *Relay) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		r.End()
		r.poll.close()
	})()
	buffer := make([]byte, bufferSize)
	r.poll.run(func(number uint64) {
		r.mu.Lock()
		p := r.pairs[number>>1]
		r.mu.Unlock()
		if p != nil {
			r.wake(p, int(number&1), buffer)
		}
	})
	if ctx.Err() == nil {
		r.End()
		return errPoll
	}
	return nil
}

// wake is called when a side has something to say.
func (r *Relay) wake(p *pair, side int, buffer []byte) {
	if side == client && !p.duplex { // only its end is watched for
		r.end(p)
		return
	}
	from, to := p.ends[side], p.ends[1-side]
	for range rounds {
		n, err := readNow(from.raw, buffer)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			r.again(p, side)
			return
		case err != nil:
			r.end(p)
			return
		case n == 0:
			r.finish(p, side)
			return
		}
		wrote, err := writeNow(to.raw, buffer[:n])
		switch {
		case err != nil && !errors.Is(err, syscall.EAGAIN):
			r.end(p)
			return
		case wrote < n:
			go r.rest(p, side, bytes.Clone(buffer[wrote:n]))
			return
		case n < len(buffer):
			r.again(p, side)
			return
		}
	}
	r.again(p, side)
}

// rest waits for a side that is slow to take what the other sent. How long it may take is the rule of its
// connection. Until then the other is not read.
func (r *Relay) rest(p *pair, side int, left []byte) {
	if _, err := p.ends[1-side].conn.Write(left); err != nil {
		r.end(p)
		return
	}
	r.again(p, side)
}

func (r *Relay) again(p *pair, side int) {
	if !r.watch(p, side, opModify) {
		r.end(p)
	}
}

// finish notes that a side sends nothing any more.
func (r *Relay) finish(p *pair, side int) {
	p.done[side] = true
	half, ok := p.ends[1-side].conn.(interface{ CloseWrite() error })
	if !p.duplex || p.done[1-side] || !ok || half.CloseWrite() != nil {
		if p.timer != nil {
			p.timer.Stop()
		}
		r.end(p)
		return
	}
	p.timer = time.AfterFunc(halfClosed, func() { r.end(p) })
}
