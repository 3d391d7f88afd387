package clients_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// wire passes TCP connections on, to each of its targets in turn, and can be cut.
type wire struct {
	URL string

	mu    sync.Mutex
	open  map[net.Conn]bool
	count int
}

// newWire starts one; targets are base URLs.
func newWire(t *testing.T, targets ...string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{URL: "http://" + ln.Addr().String(), open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = ln.Close()
		w.Cut()
	})
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go w.pass(in, targets)
		}
	}()
	return w
}

func (w *wire) pass(in net.Conn, targets []string) {
	w.mu.Lock()
	target := targets[w.count%len(targets)]
	w.count++
	w.open[in] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.open, in)
		w.mu.Unlock()
		_ = in.Close()
	}()
	out, err := net.Dial("tcp", strings.TrimPrefix(target, "http://")) //nolint:noctx // loopback: immediately or never
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
}

// Cut breaks every open connection, without a word to either side.
func (w *wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// Connections counts those that were ever opened.
func (w *wire) Connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}
