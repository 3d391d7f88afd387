package httpkit_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
)

// Browsers open connections before they need them: a server that stops must not wait for those.
func TestASilentConnectionDoesNotHoldTheDrain(t *testing.T) {
	t.Parallel()
	ln, err := httpkit.Listen(t.Context(), "127.0.0.1", 0, "X")
	if err != nil {
		t.Fatal(err)
	}
	s := httpkit.NewServer("test", ln, http.NotFoundHandler(), slog.New(slog.DiscardHandler), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	begin := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
