package sdkpython_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire passes TCP connections on to a gateway. It can break all of them before any piece of bytes, and can be slow.
type wire struct {
	URL string

	target string
	cutAt  int           // before which piece all connections are broken; 0 for never
	delay  time.Duration // of each piece
	size   int           // of a piece at most

	mu    sync.Mutex
	open  map[net.Conn]bool
	count int
}

// newWire starts one. The pieces of all connections are counted together, in both directions.
func newWire(t *testing.T, target string, set func(*wire)) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{
		URL: "http://" + ln.Addr().String(), target: strings.TrimPrefix(target, "http://"), size: 64 << 10,
		open: map[net.Conn]bool{},
	}
	if set != nil {
		set(w)
	}
	t.Cleanup(func() {
		_ = ln.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.cut()
	})
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go w.pass(in)
		}
	}()
	return w
}

func (w *wire) pass(in net.Conn) {
	out, err := net.Dial("tcp", w.target) //nolint:noctx // loopback: immediately or never
	if err != nil {
		_ = in.Close()
		return
	}
	w.mu.Lock()
	w.open[in], w.open[out] = true, true
	w.mu.Unlock()
	go w.copy(out, in)
	w.copy(in, out)
}

func (w *wire) copy(to, from net.Conn) {
	defer func() {
		w.mu.Lock()
		delete(w.open, to)
		w.mu.Unlock()
		_ = to.Close()
		_ = from.Close()
	}()
	piece := make([]byte, w.size)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if w.delay > 0 {
				time.Sleep(w.delay) //nolint:forbidigo // this is what is slow, and nothing waits for it by guess
			}
			if w.step() {
				return
			}
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// step counts a piece. It reports whether everything was broken before it.
func (w *wire) step() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	if w.count != w.cutAt {
		return false
	}
	w.cut()
	return true
}

// cut breaks every open connection, without a word to either side.
func (w *wire) cut() {
	for c := range w.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	clear(w.open)
}

// pieces says how many there were.
func (w *wire) pieces() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}
