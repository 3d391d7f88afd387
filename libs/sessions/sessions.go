// Package sessions is the client of the auth service that every listener uses: it answers whose
// session a token is, from memory when it may (ADR 0003).
//
// A hit costs no network and no allocation. A miss is one NATS request for all who ask for
// the same token concurrently. Revocations arrive through a watch and take effect immediately. When
// auth or NATS is unavailable, what is cached and not expired is served for a bounded grace; after
// that the answer is Unavailable, never "not logged in" and never access.
package sessions

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
)

// Config holds the settings of the near cache; edge-proxy and event-fanout embed it.
type Config struct {
	NearTTL time.Duration `env:"GATEWAY_SESSION_NEAR_TTL_SECS" file:"nats.session_near_ttl_secs" default:"30" unit:"s"`
	Grace   time.Duration `env:"GATEWAY_SESSION_GRACE_SECS" file:"nats.session_grace_secs" default:"300" unit:"s"`
	BadRate int           `env:"GATEWAY_BAD_SESSION_RATE_ADDRESS_PER_MIN" file:"limits.bad_session_rate_address_per_min" default:"600"`
	NearMax int           `env:"GATEWAY_SESSION_NEAR_MAX" file:"nats.session_near_max" default:"100000"`
}

// Fault codes of a check.
var (
	errMissing = fault.New(
		fault.Unauthenticated, "missing_session",
		"a session token is required: send it as Authorization: Bearer, X-Session-Token or the cookie session_token",
	)
	errInvalid = fault.New(fault.Unauthenticated, "invalid_session", "the session is invalid or expired: log in again")
)

// maxToken bounds a token, in bytes; no issuer of sessions comes near it.
const maxToken = 4096

// entry is immutable once stored. A revoked entry stays as a marker so that an answer that
// was under way when the revocation came cannot bring the session back.
type entry struct {
	session    *authwire.Session // nil when revoked
	freshUntil int64             // Unix nanoseconds
	graceUntil int64
	expires    int64
	// endedUntil is how long a session past its end is refused without asking again: auth said that it
	// was not prolonged. 0 is that nobody asked.
	endedUntil int64
}

// endedFor is how long that is believed.
const endedFor = 10 * time.Second

// Client checks sessions. It is safe for concurrent use; [Client.Run] must be running for
// revocations to arrive.
type Client struct {
	cfg     Config
	calls   *natskit.Client
	js      jetstream.JetStream
	tel     *telemetry.Telemetry
	cache   *otter.Cache[authwire.TokenKey, *entry]
	bad     *kit.Rates
	reserve *kit.Rates         // questions to the backend of an address that has used up bad
	missing prometheus.Counter // calls without any token
	flights singleflight.Group

	mu        sync.Mutex
	listeners []func(authwire.TokenKey)
	cleared   map[authwire.UserKey]clearing
	sweepAt   int // size of cleared at which old ones are forgotten
}

// New makes a client.
func New(nc *nats.Conn, cfg Config, tel *telemetry.Telemetry) (*Client, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	cache, err := otter.New(&otter.Options[authwire.TokenKey, *entry]{MaximumSize: cfg.NearMax})
	if err != nil {
		return nil, err
	}
	refusals, err := kit.NewRefusals(tel.Registry)
	if err != nil {
		return nil, err
	}
	missing, err := missingTokens(tel.Registry)
	if err != nil {
		return nil, err
	}
	return &Client{
		cfg: cfg, calls: natskit.NewClient(nc, tel), js: js, tel: tel, cache: cache, missing: missing,
		bad:     kit.NewRates(cfg.BadRate, cfg.BadRate/6).Count(refusals, "bad_session"),
		reserve: kit.NewRates(reservePerMinute, reserveBurst),
		cleared: map[authwire.UserKey]clearing{}, sweepAt: sweepMin,
	}, nil
}

// missingTokens makes the counter of calls that brought no token: the one outcome of a session check that
// auth does not see. In one process with auth it is a series of auth's counter.
func missingTokens(reg prometheus.Registerer) (prometheus.Counter, error) {
	checks, err := kit.SharedCounter(reg, prometheus.CounterOpts{
		Name: "noetl_gateway_session_check_total", Help: "Session checks, by outcome.",
	}, "outcome")
	if err != nil {
		return nil, err
	}
	return checks.WithLabelValues("missing_token"), nil
}

// OnRevoked registers a function that is called for each revoked token, at least once: again
// after the watch was interrupted. It must not block. Register before Run.
func (c *Client) OnRevoked(f func(authwire.TokenKey)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, f)
}

// BadTokens is the limit on tokens of an address that are no session, by [httpkit.AddressKey]; nil for none. Whoever
// takes other tokens for sessions counts those that are refused here too: otherwise each kind would have a limit of
// its own.
func (c *Client) BadTokens() *kit.Rates { return c.bad }

// Resolve returns the session of a token. The result is shared: do not change it. The error
// is Unauthenticated for what is no session, Unavailable when nobody can tell.
func (c *Client) Resolve(ctx context.Context, token authwire.Token) (*authwire.Session, error) {
	return c.resolve(ctx, token, true)
}

// Recheck is [Client.Resolve] for a session that was accepted before, such as that of an open stream. It is asked
// about by the gateway and not by a stranger, so it neither counts against an address nor is refused for one.
func (c *Client) Recheck(ctx context.Context, token authwire.Token) (*authwire.Session, error) {
	return c.resolve(ctx, token, false)
}

func (c *Client) resolve(ctx context.Context, token authwire.Token, stranger bool) (*authwire.Session, error) {
	if token.IsZero() {
		c.missing.Inc()
		return nil, errMissing
	}
	if len(token.Reveal()) > maxToken {
		return nil, errInvalid
	}
	key := token.Key()
	now := time.Now().UnixNano()
	cached, ok := c.cache.GetIfPresent(key)
	if ok {
		switch {
		case cached.session == nil || now < cached.endedUntil:
			return nil, errInvalid
		case now < cached.freshUntil && now < cached.expires:
			return cached.session, nil
		}
	}
	if cached != nil || !stranger {
		// Also past the end that is known: sessions are prolonged, and only the authority knows.
		return c.ask(ctx, token, cached, false)
	}
	// A token that nobody knows here may cost NoETL an execution: who invents them by the hundred is not asked for.
	// But many people share an address, and the sessions of the others must pass. So what the gateway's own records
	// know, which costs two reads of NATS, is asked however many bad tokens come: whoever logged in here, or whose
	// login playbook wrote a record. Of the rest, which only NoETL could know, a few a minute are still asked for.
	address := httpkit.AddressKey(httpkit.ClientOf(ctx))
	if limited := c.bad.Exhausted(address); limited != nil {
		session, err := c.ask(ctx, token, nil, true)
		if kind, _ := fault.KindOf(err); kind != fault.RateLimited {
			return session, err
		}
		if c.reserve.Check(address) != nil {
			return nil, limited
		}
	}
	session, err := c.ask(ctx, token, nil, false)
	if errors.Is(err, errInvalid) {
		_ = c.bad.Check(address) // counted; the answer to this one is known
	}
	return session, err
}

// The reserve is what one address can cost NoETL in executions, whatever it sends.
const (
	reservePerMinute = 12
	reserveBurst     = 1
)

// ask asks auth; with known, only what the gateway's own records say.
func (c *Client) ask(ctx context.Context, token authwire.Token, cached *entry, known bool) (*authwire.Session, error) {
	key := token.Key()
	flight, in := string(key[:]), authwire.ResolveRequest{SessionToken: token.Reveal(), KnownOnly: known}
	if known {
		flight += "known"
	}
	// The flight outlives the caller that started it: the others still want its answer.
	result := c.flights.DoChan(flight, func() (any, error) {
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		s, err := natskit.Call[authwire.ResolveRequest, authwire.Session](
			fctx, c.calls, "auth", authwire.SubjectResolve, in)
		if err != nil {
			return nil, err
		}
		return c.store(key, &s), nil
	})
	grace := cached != nil && time.Now().UnixNano() < min(cached.graceUntil, cached.expires)
	var patience <-chan time.Time
	if grace { // a backend that hangs must not hold up who is known
		timer := time.NewTimer(graceWait)
		defer timer.Stop()
		patience = timer.C
	}
	var err error
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience:
		return c.known(key, cached)
	case r := <-result:
		if err = r.Err; err == nil {
			if e, ok := r.Val.(*entry); ok && e.session != nil && time.Now().UnixNano() < e.expires {
				return e.session, nil
			}
			return nil, errInvalid
		}
	}
	if kind, _ := fault.KindOf(err); kind == fault.Unauthenticated {
		c.end(key, cached)
		return nil, errInvalid
	}
	// Also when auth is merely too busy: a flood of bad tokens must not lock out who is known.
	if grace {
		return c.known(key, cached)
	}
	return nil, err
}

// end notes that a cached session is none any more. One that ran out is remembered for a while: its page
// may ask again and again.
func (c *Client) end(key authwire.TokenKey, cached *entry) {
	switch {
	case cached == nil:
	case cached.session != nil && time.Now().UnixNano() >= cached.expires:
		ended := *cached
		ended.endedUntil = time.Now().Add(endedFor).UnixNano()
		c.cache.Compute(key, func(old *entry, found bool) (*entry, otter.ComputeOp) {
			if found && old != cached { // somebody knows better by now
				return old, otter.CancelOp
			}
			return &ended, otter.WriteOp
		})
	default:
		c.cache.Invalidate(key)
	}
}

// known returns a session that was cached when the question was asked, unless it was revoked
// or ran out while nobody answered.
func (c *Client) known(key authwire.TokenKey, cached *entry) (*authwire.Session, error) {
	if now, ok := c.cache.GetIfPresent(key); ok {
		cached = now
	}
	if now := time.Now().
		UnixNano(); cached.session == nil || now >= cached.expires || now < cached.endedUntil ||
		c.endedMeanwhile(cached.session) {
		return nil, errInvalid
	}
	return cached.session, nil
}

// graceWait is how long a question about a session that is cached already may take before the
// cached one is served.
const graceWait = 2 * time.Second

// askTimeout bounds one question to auth, which itself may have to ask NoETL; below the
// browsers' own 15 s.
const askTimeout = 13 * time.Second

// store keeps an answer unless the token was revoked meanwhile, and returns what counts.
func (c *Client) store(key authwire.TokenKey, s *authwire.Session) *entry {
	now := time.Now()
	fresh := &entry{
		session:    s,
		freshUntil: now.Add(c.cfg.NearTTL).UnixNano(),
		graceUntil: now.Add(c.cfg.NearTTL + c.cfg.Grace).UnixNano(),
		expires:    s.ExpiresAt.UnixNano(),
	}
	if fresh.expires <= now.UnixNano() {
		fresh.endedUntil = now.Add(endedFor).UnixNano()
	}
	got, _ := c.cache.Compute(key, func(old *entry, found bool) (*entry, otter.ComputeOp) {
		if found && old.session == nil {
			return old, otter.CancelOp
		}
		return fresh, otter.WriteOp
	})
	// After it is stored, so that either this or the one who notes the end of all of the user's
	// sessions sees the other's work.
	if got.session != nil && c.endedMeanwhile(got.session) {
		c.cache.Invalidate(key)
		return &entry{}
	}
	return got
}

// Name returns the component's name.
func (c *Client) Name() string { return "session client" }

// Run follows the revocations until ctx ends. What was revoked during an outage arrives after it.
func (c *Client) Run(ctx context.Context) error {
	bucket := natskit.NewLazy(c.js.Conn(), func(ctx context.Context) (jetstream.KeyValue, error) {
		return c.js.KeyValue(ctx, authwire.RevokedBucket)
	})
	return natskit.Watch{JS: c.js, Bucket: bucket, Logger: c.tel.Logger, Put: c.revoked}.Run(ctx)
}

func (c *Client) revoked(e jetstream.KeyValueEntry) {
	if user, ok := authwire.ParseUserKey(e.Key()); ok {
		c.clear(user, e.Created())
		return
	}
	if key, ok := authwire.ParseTokenKey(e.Key()); ok {
		c.revoke(key)
	}
}

// Forget refuses a token in this process from now on: whoever ended a session here need not
// wait for the revocation to come back through the watch.
func (c *Client) Forget(token authwire.Token) { c.revoke(token.Key()) }

func (c *Client) revoke(key authwire.TokenKey) {
	c.cache.Set(key, &entry{})
	c.tell(key)
}

func (c *Client) tell(key authwire.TokenKey) {
	c.mu.Lock()
	listeners := c.listeners
	c.mu.Unlock()
	for _, f := range listeners {
		f(key)
	}
}
