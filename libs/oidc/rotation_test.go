package oidc_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/oidc/oidctest"
)

// rotating is a user, its issuer and a clock that both go by.
type rotating struct {
	issuer *oidctest.Issuer
	clock  *oidctest.Clock
	v      *oidc.Verifier
}

func newRotating(t *testing.T, u user) *rotating {
	t.Helper()
	issuer, clock := oidctest.StartIssuer(t), oidctest.NewClock()
	return &rotating{issuer, clock, u.verifier(t, clock.Now, issuer)}
}

// verify asks with a token that a key of the issuer signed now.
func (r *rotating) verify(t *testing.T, kid string) error {
	t.Helper()
	token := r.issuer.Sign(t, kid, r.issuer.Claims("a@example.com", r.clock.Now()))
	_, err := r.v.Verify(t.Context(), token, oidc.Want{Audiences: []string{oidctest.Audience}})
	return err
}

func TestNewKeyIsFetchedOnce(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		r := newRotating(t, u)
		want(t, r.verify(t, "rsa"), "")
		r.issuer.AddRSA(t, "next", 2048)
		want(t, r.verify(t, "next"), oidc.UnknownKey) // within the cool-down
		if n := r.issuer.Fetches.Load(); n != 1 {
			t.Fatalf("%d fetches within the cool-down", n)
		}
		r.clock.Advance(31 * time.Second)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { want(t, r.verify(t, "next"), "") })
		}
		wg.Wait()
		if n := r.issuer.Fetches.Load(); n != 2 {
			t.Fatalf("%d fetches for one new key, want one more", n-1)
		}
	})
}

func TestRemovedKeyStopsCounting(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		r := newRotating(t, u)
		want(t, r.verify(t, "rsa"), "")
		r.issuer.Remove("rsa")
		want(t, r.verify(t, "rsa"), "") // within the time to live
		r.issuer.AddRSA(t, "next", 2048)
		r.clock.Advance(time.Hour)
		want(t, r.verify(t, "rsa"), oidc.UnknownKey)
	})
}

func TestKeysOutliveTheIssuersOutage(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		r := newRotating(t, u)
		r.issuer.Down.Store(true)
		want(t, r.verify(t, "rsa"), oidc.KeysUnavailable) // an outage is not a rejection
		if n, err := r.v.Probe(t.Context()); n != 1 || err == nil {
			t.Error("the probe passes without keys")
		}
		r.issuer.Down.Store(false)
		r.clock.Advance(31 * time.Second)
		want(t, r.verify(t, "rsa"), "")
		r.issuer.Down.Store(true)
		r.clock.Advance(5 * time.Hour)
		want(t, r.verify(t, "rsa"), "") // stale keys serve through an outage
		if n, err := r.v.Probe(t.Context()); n != 0 || err != nil {
			t.Errorf("cached keys are enough for the probe: %v", err)
		}
		r.issuer.AddRSA(t, "unseen", 2048)
		want(t, r.verify(t, "unseen"), oidc.KeysUnavailable)
		r.clock.Advance(25 * time.Hour)
		want(t, r.verify(t, "rsa"), oidc.KeysUnavailable) // but not forever
	})
}

func TestTokenWithoutKeyIDNeedsASingleKey(t *testing.T) {
	t.Parallel()
	r := newRotating(t, users()[0])
	r.issuer.Publish("", r.issuer.Key("rsa"), map[string]any{"kty": "none"}) // signs without being published
	want(t, r.verify(t, ""), "")
	r.issuer.AddRSA(t, "second", 2048)
	r.clock.Advance(time.Hour)
	want(t, r.verify(t, ""), oidc.UnknownKey)
}

// Who starts before its issuer must not lock people out for the whole cool-down: while there are no
// keys at all, they are asked for as often as callers are told to come back, and no more.
func TestWithoutAnyKeysTheIssuerIsAskedSooner(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		r := newRotating(t, u)
		r.issuer.Down.Store(true)
		want(t, r.verify(t, "rsa"), oidc.KeysUnavailable)
		r.issuer.Down.Store(false)
		r.clock.Advance(4 * time.Second)
		want(t, r.verify(t, "rsa"), oidc.KeysUnavailable)
		r.clock.Advance(time.Second)
		want(t, r.verify(t, "rsa"), "")
	})
}

// An issuer that hangs after the time to live holds a token up for a second, not for the whole fetch.
func TestAHangingIssuerDoesNotHoldUpKnownKeys(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		hangs := false
		body := oidctest.KeySet(issuer)
		rt := func(r *http.Request) (*http.Response, error) {
			if hangs {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return oidctest.Answer(r, body), nil
		}
		v, err := oidc.New(oidc.Config{
			Issuers: []oidc.Issuer{
				{URL: issuer.URL, KeysURL: issuer.URL + "jwks"},
			}, TTL: time.Hour, Cooldown: time.Minute,
		}, &http.Client{Transport: roundTripper(rt)})
		if err != nil {
			t.Fatal(err)
		}
		ask := func() error {
			token := issuer.Sign(t, "rsa", issuer.Claims("a@example.com", time.Now()))
			_, err := v.Verify(t.Context(), token, oidc.Want{Audiences: []string{oidctest.Audience}})
			return err
		}
		want(t, ask(), "")
		hangs = true
		<-time.After(2 * time.Hour)
		begin := time.Now()
		want(t, ask(), "")
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %s", took)
		}
		<-time.After(oidc.FetchTimeout) // the fetch ends
	})
}
