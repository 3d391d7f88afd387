package natsembed_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/services/standalone/internal/natsembed"
)

// The health check finds a stream ill that is just being created. Everybody would lose the connection for it.
func TestOneBadLookRestartsNothing(t *testing.T) {
	t.Parallel()
	s, err := natsembed.Start(t.TempDir(), 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	lost := make(chan struct{}, 1)
	nc, err := nats.Connect(
		"", s.InProcess(), nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	ill := errors.New("JetStream stream 'x' could not be recovered")
	for range 3 {
		for range natsembed.HealAfter - 1 {
			s.Look(t.Context(), ill)
		}
		s.Look(t.Context(), nil)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("it is ill after single looks: %v", err)
	}
	if err := nc.Flush(); err != nil {
		t.Errorf("the connection is gone: %v", err)
	}
	for range natsembed.HealAfter {
		s.Look(t.Context(), ill)
	}
	<-lost // and an illness that stays is healed
}
