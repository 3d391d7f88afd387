package natskit

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Try connects once as [Connect] does, and returns what answered. It fails if JetStream cannot be used.
func Try(ctx context.Context, cfg Config, name string) (string, error) {
	//nolint:contextcheck // what the connection says later belongs to no call
	nc, err := Connect(cfg, name, slog.New(slog.DiscardHandler), nats.RetryOnFailedConnect(false), nats.NoReconnect())
	if err != nil {
		return "", err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return "", err
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return "", fmt.Errorf("JetStream cannot be used: %w", err)
	}
	return "NATS " + nc.ConnectedServerVersion() + " with JetStream", nil
}
