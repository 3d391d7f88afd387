package relay

import (
	"os"
	"syscall"
)

const (
	opAdd    = syscall.EPOLL_CTL_ADD
	opModify = syscall.EPOLL_CTL_MOD
)

const oneShot = 1 << 30 // EPOLLONESHOT, which package syscall has with the wrong sign

// poller is an epoll instance of our own, itself watched by Go's. Each connection is reported once and then has to be
// asked for again.
type poller struct {
	file *os.File
	raw  syscall.RawConn
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // only such files are watched by Go's poller
		_ = syscall.Close(fd)
		return nil, err
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// watch asks for a report of a connection: that its peer has ended its sending, and with reads also that there is
// something to read. The kernel forgets a connection when it is closed.
func (p *poller) watch(conn syscall.RawConn, op int, number uint64, reads bool) bool {
	event := syscall.EpollEvent{
		Events: syscall.EPOLLRDHUP | oneShot,
		Fd:     int32(uint32(number)), Pad: int32(uint32(number >> 32)), //nolint:gosec // eight bytes of ours
	}
	if reads {
		event.Events |= syscall.EPOLLIN
	}
	done := false
	err := p.raw.Control(func(epoll uintptr) {
		cerr := conn.Control(func(fd uintptr) {
			done = syscall.EpollCtl(int(epoll), op, int(fd), &event) == nil
		})
		done = done && cerr == nil
	})
	return err == nil && done
}

// run calls wake for each connection that is reported, until close.
func (p *poller) run(wake func(number uint64)) {
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
			wake(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32) //nolint:gosec // as written
		}
	}
}

func (p *poller) close() { _ = p.file.Close() }

// readNow reads what is there. Deadlines do not count: they belong to those who wait.
func readNow(conn syscall.RawConn, b []byte) (int, error) { return now(conn, syscall.Read, b) }

// writeNow writes what the kernel takes.
func writeNow(conn syscall.RawConn, b []byte) (int, error) { return now(conn, syscall.Write, b) }

func now(conn syscall.RawConn, call func(int, []byte) (int, error), b []byte) (n int, err error) {
	cerr := conn.Control(func(fd uintptr) {
		for n, err = call(int(fd), b); err == syscall.EINTR; n, err = call(int(fd), b) { //nolint:errorlint // as above
		}
	})
	if err == nil {
		err = cerr
	}
	return max(n, 0), err
}
