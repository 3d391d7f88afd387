package app

import (
	"context"
	"net"

	"github.com/noetl/gateway/libs/check"
)

// Check names the ports that a start opens, and tests NoETL's event feeds. What else a start rejects is in the
// settings.
func Check(ctx context.Context, cfg Config, report *check.Report, opts ...Option) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if !o.embedded {
		report.Listens("GATEWAY_PORT", cfg.Bind, cfg.Port)
	}
	report.Listens("GATEWAY_INTERNAL_PORT", cfg.InternalBind, cfg.InternalPort)
	feeds, err := cfg.Feeds()
	if err != nil {
		return // the settings say so
	}
	for _, feed := range feeds {
		report.Test(ctx, "event feed", feed.Address, func(ctx context.Context) (string, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", feed.Address)
			if err == nil {
				_ = conn.Close()
			}
			return "", err
		})
	}
}
