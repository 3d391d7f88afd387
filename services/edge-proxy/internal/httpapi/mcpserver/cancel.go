package mcpserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

// cancelKey names a call of a client of older revisions, which cancels it in a request of its own. The token is part of
// it, so that nobody cancels another session's calls. "" is a client that was given no name: its numbers may be those
// of another one.
func (x *exchange) cancelKey(number string) string {
	if x.label == "" || number == "" {
		return ""
	}
	token := x.caller.Token.Key()
	sum := sha256.Sum256([]byte(string(token[:]) + "\x00" + x.label + "\x00" + number))
	return hex.EncodeToString(sum[:])
}

// cancels are the calls under way that may be cancelled by name. It is safe for concurrent use.
type cancels struct {
	mu    sync.Mutex
	calls map[string]func()
}

func (c *cancels) add(key string, cancel func()) (forget func()) {
	if key == "" {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.calls[key]; taken { // a client must not use a number twice
		return func() {}
	}
	c.calls[key] = cancel
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.calls, key)
	}
}

// cancel ends a call, if it runs here, and reports whether it does.
func (c *cancels) cancel(key string) (found bool) {
	c.mu.Lock()
	cancel := c.calls[key]
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return cancel != nil
}

// cancelled handles notifications/cancelled. The call may run in any replica.
func (s *Server) cancelled(ctx context.Context, x *exchange) {
	key := x.cancelKey(x.params.requestID)
	if key != "" && !s.cancels.cancel(key) && s.Broadcast != nil {
		s.Broadcast(ctx, key)
	}
}

// CancelCall ends a call that a client cancelled at another replica, if it runs here.
func (s *Server) CancelCall(key string) { s.cancels.cancel(key) }
