package httpapi

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// poller tells when there is something to read on connections that nobody waits for: a waiting
// goroutine each would double what an idle WebSocket costs. It is an epoll instance of our own,
// itself watched by Go's; each connection is reported once and then has to be asked for again.
type poller struct {
	file *os.File
	raw  syscall.RawConn

	mu    sync.Mutex
	last  uint64
	conns map[uint64]*wsConn // by a number of ours: the kernel's are used again immediately
}

// newPoller opens a poller.
func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // only such files are watched by Go's poller
		_ = syscall.Close(fd)
		return nil, err
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), conns: map[uint64]*wsConn{}}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// add begins to watch a connection. It reports false when that is not possible: the bytes of
// TLS, for one, are not those that arrive.
func (p *poller) add(c *wsConn) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	p.last++
	c.number = p.last
	p.conns[c.number] = c
	p.mu.Unlock()
	if !p.control(c, syscall.EPOLL_CTL_ADD) {
		p.remove(c)
		return false
	}
	return true
}

// again asks for one more report; false when the connection is closed.
func (p *poller) again(c *wsConn) bool { return p.control(c, syscall.EPOLL_CTL_MOD) }

// remove forgets a connection. The kernel forgets it when it is closed.
func (p *poller) remove(c *wsConn) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c.number) // 0, which is nobody's, before add
}

func (p *poller) control(c *wsConn, op int) bool {
	raw, ok := rawOf(c.socket.Conn)
	if !ok {
		return false
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | epollOneShot,
		Fd:     int32(uint32(c.number)), Pad: int32(uint32(c.number >> 32)), //nolint:gosec // eight bytes of ours
	}
	done := false
	err := p.raw.Control(func(epoll uintptr) {
		cerr := raw.Control(func(fd uintptr) {
			done = syscall.EpollCtl(int(epoll), op, int(fd), &event) == nil
		})
		done = done && cerr == nil
	})
	return err == nil && done
}

const epollOneShot = 1 << 30 // EPOLLONESHOT

func rawOf(c net.Conn) (syscall.RawConn, bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := sc.SyscallConn()
	return raw, err == nil
}

// run calls wake for each connection that has something to read, until close.
func (p *poller) run(wake func(*wsConn)) {
	events := make([]syscall.EpollEvent, 256)
	for {
		n := 0
		err := p.raw.Read(func(epoll uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(epoll), events, 0)
			return n > 0 || (err != nil && err != syscall.EINTR)
		})
		if err != nil || n < 0 {
			return
		}
		for _, e := range events[:n] {
			number := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 //nolint:gosec // as written
			p.mu.Lock()
			c := p.conns[number]
			p.mu.Unlock()
			if c != nil {
				wake(c)
			}
		}
	}
}

// close ends run.
func (p *poller) close() { _ = p.file.Close() }
