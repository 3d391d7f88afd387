package oidc

import (
	"context"
	"crypto"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/noetl/gateway/libs/outage"
)

// MaxStale bounds how long keys and metadata are used that could not be fetched again: an issuer that
// is unavailable for longer may have lost a key to somebody.
const MaxStale = 24 * time.Hour

// staleWait bounds how long a caller waits for a fetch when a key at hand would do: an issuer that hangs
// must not hold up its tokens.
const staleWait = time.Second

// RetryAfter is when to try again while there are no keys.
const RetryAfter = 5 * time.Second

// keySet holds the keys of one issuer. It is safe for concurrent use.
type keySet struct {
	issuer        string
	address       string // of the keys; empty: the issuer's metadata says
	client        *http.Client
	outage        *outage.Dependency
	ttl, cooldown time.Duration
	now           func() time.Time
	flights       singleflight.Group

	mu      sync.Mutex
	keys    []publicKey
	fetched time.Time // when keys was fetched; zero if never
	tried   time.Time // when the last fetch began
	failed  error     // of the last fetch
}

// key returns the key of an id for an algorithm. A key that is unknown, or older than the
// time to live, is looked for at the issuer first, at most once per cool-down: otherwise
// made-up key ids would turn us into a load on the issuer. While the issuer is unavailable the
// keys at hand remain valid.
func (s *keySet) key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	k, fresh := s.find(kid, alg)
	if k != nil && fresh {
		return k, nil
	}
	wait := ctx
	if k != nil {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, staleWait)
		defer cancel()
	}
	failed := s.refresh(wait)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if k != nil && wait.Err() != nil {
		return k, nil
	}
	if k, _ = s.find(kid, alg); k != nil {
		return k, nil
	}
	if failed != nil {
		return nil, &Error{Reason: KeysUnavailable, Err: failed}
	}
	return nil, &Error{Reason: UnknownKey}
}

// find returns a usable key at hand, and whether the set is within its time to live.
func (s *keySet) find(kid, alg string) (key crypto.PublicKey, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.fetched)
	if age > MaxStale {
		return nil, false
	}
	matches := 0
	for _, k := range s.keys {
		// An issuer with a single key may leave the id out (RFC 7515 section 4.1.4).
		if k.alg == alg && (k.kid == kid || kid == "") {
			key = k.key
			matches++
		}
	}
	if matches != 1 {
		return nil, age < s.ttl
	}
	return key, age < s.ttl
}

// refresh fetches the keys unless that was tried within the cool-down, once for all who ask.
// It returns why the last fetch failed, nil if it did not.
func (s *keySet) refresh(ctx context.Context) error {
	flight := s.flights.DoChan("", func() (any, error) {
		s.mu.Lock()
		now := s.now()
		cooldown := s.cooldown
		if s.fetched.IsZero() { // nobody can log in: ask as often as those who wait are told to
			cooldown = min(cooldown, RetryAfter)
		}
		if !s.tried.IsZero() && now.Sub(s.tried) < cooldown {
			defer s.mu.Unlock()
			return nil, s.failed
		}
		s.tried = now
		s.mu.Unlock()

		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FetchTimeout)
		defer cancel()
		keys, err := fetch(fctx, s.client, s.issuer, s.address)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = err
		if err == nil {
			s.keys, s.fetched = keys, s.now() // the whole set: a removed key is gone
		}
		s.outage.Note(fctx, s.issuer, err)
		return nil, err
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-flight:
		return r.Err
	}
}

// ready reports whether there are keys, and fetches them if there are none yet.
func (s *keySet) ready(ctx context.Context) error {
	s.mu.Lock()
	age := s.now().Sub(s.fetched)
	s.mu.Unlock()
	if age < s.ttl {
		return nil
	}
	err := s.refresh(ctx)
	if err != nil && age < MaxStale {
		return nil // cached keys are enough
	}
	return err
}
