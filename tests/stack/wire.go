package stack

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

// Cut is when a [Wire] breaks every connection, once.
type Cut struct {
	FromClient bool   // who sends the text; else the gateway does
	Text       string // what must pass
	After      bool   // it still gets through
	Piece      int    // instead of a text: before which piece of bytes, counted from 1 over all connections
}

// Wire passes TCP connections on to its targets in turn. It can break them, be down, be slow, and keep answers back.
type Wire struct {
	URL string

	targets []string

	mu       sync.Mutex
	open     map[net.Conn]bool
	down     bool
	count    int
	pieces   int
	requests []string
	when     *Cut // nil when nothing is to be cut
	was      bool // it was
	swallow  string
	size     int // of the pieces in which all comes from the gateway; 0 passes it as it comes
	pace     time.Duration
}

// NewWire starts one, until the test ends. The targets are base URLs.
func NewWire(tb testing.TB, targets ...string) *Wire {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
	if err != nil {
		tb.Fatal(err)
	}
	w := &Wire{URL: "http://" + ln.Addr().String(), targets: targets, open: map[net.Conn]bool{}}
	tb.Cleanup(func() {
		_ = ln.Close()
		w.Down(true)
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

// Cut breaks every open connection, without a word to the client.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut()
}

func (w *Wire) cut() {
	for c := range w.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// CutWhen cuts once when something passes.
func (w *Wire) CutWhen(c Cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.when, w.was = &c, false
}

// WasCut reports whether it passed.
func (w *Wire) WasCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.was
}

// Down breaks every open connection and takes no other, or takes them again.
func (w *Wire) Down(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	if down {
		w.cut()
	}
}

// Swallow keeps answers to requests that hold a text, as a proxy does that waits for their end.
func (w *Wire) Swallow(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.swallow = text
}

// Slow lets everything from the gateway pass in pieces of so many bytes, one in each interval.
func (w *Wire) Slow(size int, pace time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.size, w.pace = size, pace
}

// Requests counts those that began like this.
func (w *Wire) Requests(start string) int {
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

// Carried reports whether the address of a request held a text.
func (w *Wire) Carried(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.requests, "\n"), text)
}

// Connections counts those that were ever opened.
func (w *Wire) Connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// Pieces counts the pieces of bytes that have come from either side.
func (w *Wire) Pieces() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pieces
}

// accept notes a connection and returns its target; nothing is accepted while the wire is down.
func (w *Wire) accept(in net.Conn) (target string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return "", false
	}
	target = w.targets[w.count%len(w.targets)]
	w.count++
	w.open[in] = true
	return strings.TrimPrefix(target, "http://"), true
}

func (w *Wire) pass(in net.Conn) {
	defer func() {
		w.mu.Lock()
		delete(w.open, in)
		w.mu.Unlock()
		_ = in.Close()
	}()
	target, ok := w.accept(in)
	if !ok {
		return
	}
	out, err := net.Dial("tcp", target) //nolint:noctx // loopback: immediately or never
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

func (w *Wire) copy(to io.Writer, from io.Reader, fromClient bool, silent *atomic.Bool) {
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

func (w *Wire) swallows(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.swallow != "" && bytes.Contains(b, []byte(w.swallow))
}

// piece passes one on, unless the wire is cut before or after it.
func (w *Wire) piece(to io.Writer, b []byte, fromClient bool) error {
	w.mu.Lock()
	w.pieces++
	if line, _, ok := bytes.Cut(b, []byte(" HTTP/1.1\r\n")); ok && fromClient {
		w.requests = append(w.requests, string(line))
	}
	hit := w.hits(b, fromClient)
	w.was = w.was || hit
	before := hit && !w.when.After
	if before {
		w.cut()
	}
	size, pace := w.size, w.pace
	w.mu.Unlock()
	if before {
		return io.ErrClosedPipe
	}
	var err error
	if fromClient || size == 0 {
		_, err = to.Write(b)
	} else {
		err = slowly(to, b, size, pace)
	}
	if hit {
		w.Cut()
		return io.ErrClosedPipe
	}
	return err
}

func (w *Wire) hits(b []byte, fromClient bool) bool {
	switch {
	case w.when == nil, w.was:
		return false
	case w.when.Piece > 0:
		return w.pieces == w.when.Piece
	default:
		return w.when.FromClient == fromClient && bytes.Contains(b, []byte(w.when.Text))
	}
}

func slowly(to io.Writer, b []byte, size int, pace time.Duration) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for len(b) > 0 {
		n := min(size, len(b))
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		<-tick.C
	}
	return nil
}
