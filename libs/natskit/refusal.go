package natskit

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// A NATS server whose users are being changed refuses ours for a while, so a refusal is an outage like
// any other: the connection keeps trying. nats.go tells nobody of it before the first connection stands,
// which is when a wrong password is likeliest.

// refusal tells the log, once per change, that NATS refuses our user. It is safe for concurrent use.
type refusal struct {
	logger  *slog.Logger
	servers string

	conn atomic.Pointer[nats.Conn] // nil while the first attempt runs

	mu   sync.Mutex
	told error // what the log was told last; guarded by mu
}

// refused returns which refusal err is, or nil for any other error.
func refused(err error) error {
	for _, known := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// note tells the log of a refusal that it has not been told of, and forgets it after another error or nil.
func (r *refusal) note(err error) {
	why := refused(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if why != nil && !errors.Is(why, r.told) {
		r.logger.Warn("NATS refuses this user; trying again", "servers", r.servers, "err", why)
	}
	r.told = why
}

// Bounds of the time between two rounds of attempts.
const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	// refusedWait is longer: checking a password may be made to cost the server much, and it logs each failure.
	refusedWait = time.Second
)

// wait is nats.go's question how long to wait before all servers are tried again. It is the only one of its
// callbacks that runs after each failed attempt, so what that one failed with is read here.
func (r *refusal) wait(int) time.Duration {
	jitter := rand.N(reconnectJitter) //nolint:gosec // no secret: it spreads the attempts
	conn := r.conn.Load()
	if conn == nil {
		return reconnectWait + jitter
	}
	err := conn.LastError()
	r.note(err)
	if refused(err) != nil {
		return refusedWait + jitter
	}
	return reconnectWait + jitter
}
