package sdk_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cut breaks every connection when a text passes, once.
type cut struct {
	fromClient bool   // who sends it; else the gateway does
	text       string // what must pass
	after      bool   // it still gets through
	done       bool
}

// wire passes TCP connections on, to each of its targets in turn, and can be cut.
type wire struct {
	URL string

	mu       sync.Mutex
	open     map[net.Conn]bool
	count    int
	requests []string
	cut      *cut
	swallow  string        // what a request holds whose answer never comes
	pace     time.Duration // between small pieces from the gateway; 0 passes all as it comes
}

// piece is how much passes at a time over a slow wire.
const piece = 48

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
	var silent atomic.Bool
	go func() {
		w.copy(out, in, true, &silent)
		_ = out.Close()
	}()
	w.copy(in, out, false, &silent)
}

func (w *wire) copy(to io.Writer, from io.Reader, fromClient bool, silent *atomic.Bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if fromClient && w.swallows(buffer[:n]) {
			silent.Store(true)
		}
		if n > 0 && !fromClient && silent.Load() {
			continue
		}
		if n > 0 && w.piece(to, buffer[:n], fromClient) != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

func (w *wire) piece(to io.Writer, b []byte, fromClient bool) error {
	w.mu.Lock()
	hit := w.cut != nil && !w.cut.done && w.cut.fromClient == fromClient && bytes.Contains(b, []byte(w.cut.text))
	if hit {
		w.cut.done = true
	}
	after, pace := hit && w.cut.after, w.pace
	if line, _, ok := bytes.Cut(b, []byte(" HTTP/1.1\r\n")); ok && fromClient {
		w.requests = append(w.requests, string(line))
	}
	w.mu.Unlock()
	if hit && !after {
		w.Cut()
		return io.ErrClosedPipe
	}
	err := slowly(to, b, pace, fromClient)
	if hit {
		w.Cut()
		return io.ErrClosedPipe
	}
	return err
}

func slowly(to io.Writer, b []byte, pace time.Duration, fromClient bool) error {
	if pace == 0 || fromClient {
		_, err := to.Write(b)
		return err
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for len(b) > 0 {
		n := min(piece, len(b))
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		<-tick.C
	}
	return nil
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

// CutWhen cuts once when something passes.
func (w *wire) CutWhen(c cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = &c
}

// WasCut reports whether it passed.
func (w *wire) WasCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut != nil && w.cut.done
}

// Requests counts those that began like this.
func (w *wire) Requests(start string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, r := range w.requests {
		if strings.HasPrefix(r, start) {
			n++
		}
	}
	return n
}

// Swallow keeps answers to requests that hold a text, as a proxy does that waits for their end.
func (w *wire) Swallow(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.swallow = text
}

func (w *wire) swallows(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.swallow != "" && bytes.Contains(b, []byte(w.swallow))
}

// Slow makes everything from the gateway pass in small pieces.
func (w *wire) Slow(pace time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace = pace
}

// Carried reports whether the address of a request held a text.
func (w *wire) Carried(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.requests, "\n"), text)
}
