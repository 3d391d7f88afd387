package browser_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// relay stands between a browser and a gateway, so that a test can cut them from each other.
type relay struct {
	to    string
	ln    net.Listener
	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

// newRelay begins to pass on what comes to a gateway. It ends with the test.
func newRelay(t *testing.T, origin string) *relay {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{to: strings.TrimPrefix(origin, "http://"), ln: ln, conns: map[net.Conn]bool{}}
	go r.accept()
	t.Cleanup(func() {
		_ = ln.Close()
		r.set(true)
	})
	return r
}

// page is where a browser finds the gateway.
func (r *relay) page() string { return local("http://" + r.ln.Addr().String()) }

func (r *relay) accept() {
	for {
		c, err := r.ln.Accept()
		if err != nil {
			return
		}
		go r.pass(c)
	}
}

// keep remembers a connection, unless there must be none.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		_ = c.Close()
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) pass(from net.Conn) {
	to, err := net.Dial("tcp", r.to) //nolint:noctx // closed by set
	if err != nil {
		_ = from.Close()
		return
	}
	if !r.keep(from) || !r.keep(to) {
		_, _ = from.Close(), to.Close()
		return
	}
	var wg sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		wg.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_, _ = pair[0].Close(), pair[1].Close()
		})
	}
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, from)
	delete(r.conns, to)
}

// set ends every connection and takes no other, or takes them again.
func (r *relay) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	for c := range r.conns {
		if down {
			_ = c.Close()
		}
	}
}
