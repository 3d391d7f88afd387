package app

import (
	"context"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/sessions"
)

// textSessions is the session client for a domain that holds the text of a token.
type textSessions struct{ client *sessions.Client }

// Resolve is [sessions.Client.Resolve].
func (s textSessions) Resolve(ctx context.Context, token string) (*authwire.Session, error) {
	return s.client.Resolve(ctx, authwire.NewToken(token))
}

// Recheck is [sessions.Client.Recheck].
func (s textSessions) Recheck(ctx context.Context, token string) (*authwire.Session, error) {
	return s.client.Recheck(ctx, authwire.NewToken(token))
}
