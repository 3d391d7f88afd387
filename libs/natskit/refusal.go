package natskit

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/outage"
)

// A NATS server whose users are being changed refuses ours for a while, so a refusal is an outage like
// any other: the connection keeps trying. nats.go tells nobody of it before the first connection stands,
// which is when a wrong password is likeliest.

// refusal tells of a lost connection, and that NATS refuses our user, which is another cause. It is safe for concurrent
// use.
type refusal struct {
	witness string
	server  *outage.Dependency

	conn atomic.Pointer[nats.Conn] // nil while the first attempt runs
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

// note takes why the connection is lost, or nil.
func (r *refusal) note(err error) {
	if why := refused(err); why != nil {
		r.server.NoteCause(context.Background(), r.witness, "refused", why)
		return
	}
	r.server.Note(context.Background(), r.witness, err)
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
	if err == nil {
		err = nats.ErrNoServers
	}
	r.note(err)
	if refused(err) != nil {
		return refusedWait + jitter
	}
	return reconnectWait + jitter
}

// asynchronous tells the log of what NATS says beside the answers, such as that this user may not use a subject. It is
// safe for concurrent use.
type asynchronous struct {
	logger  *slog.Logger
	repeats outage.Repeats // an operation that is tried again fails again
}

func (a *asynchronous) tell(nc *nats.Conn, sub *nats.Subscription, err error) {
	if !nc.IsConnected() {
		return // that the connection is lost says it
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if quiet, tell := a.repeats.Tell(subject + " " + err.Error()); tell {
		a.logger.Error("NATS asynchronous error", "subject", subject, "err", err, "repeated", quiet)
	}
}
