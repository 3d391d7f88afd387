package natsembed

import "context"

// HealAfter is how many looks in succession must find the server ill.
const HealAfter = healAfter

// Look is one look at the server's health that found cause.
func (s *Server) Look(ctx context.Context, cause error) { s.heal(ctx, cause) }
