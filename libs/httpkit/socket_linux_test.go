package httpkit_test

import (
	"context"
	"log/slog"
	"net/http"
	"syscall"
	"testing"

	"github.com/noetl/gateway/libs/httpkit"
)

// What the kernel keeps of an answer that a client does not read is bounded on each connection. Who takes a
// connection over finds its socket.
func TestTheKernelKeepsLittleOfAnAnswerThatIsNotRead(t *testing.T) {
	t.Parallel()
	ln, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "X")
	if err != nil {
		t.Fatal(err)
	}
	s := httpkit.NewServer("test", ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		sc, ok := c.(syscall.Conn)
		if !ok {
			t.Errorf("%T has no socket", c)
			return
		}
		raw, err := sc.SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		const notSentLowAt = 25 // linux/tcp.h
		_ = raw.Control(func(fd uintptr) {
			limit, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowAt)
			if err != nil || limit != 128<<10 {
				t.Errorf("%d, %v", limit, err)
			}
		})
	}), slog.New(slog.DiscardHandler), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if resp, err := http.Get(httpkit.URL(ln)); err == nil { //nolint:noctx // a test's
		_ = resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
