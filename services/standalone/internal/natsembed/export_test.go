package natsembed

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// HealAfter is how many looks in succession must find the server ill.
const HealAfter = healAfter

// Look is one look at the server's health that found cause.
func (s *Server) Look(ctx context.Context, cause error) { s.heal(ctx, cause) }

// NewLog returns what the server writes its log to.
func NewLog(logger *slog.Logger) server.Logger { return &natsLog{logger: logger} }
