package oidc_test

import (
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func TestNewKeyIsFetchedOnce(t *testing.T) {
	t.Parallel()
	issuer, clock := authtest.StartIssuer(t), newClock()
	v := newVerifier(t, clock.Now, issuer)
	sign := func(kid string) string { return issuer.Sign(t, kid, issuer.Claims("a@example.com", clock.Now())) }
	if _, err := v.Verify(t.Context(), sign("rsa"), ""); err != nil {
		t.Fatal(err)
	}
	issuer.AddRSA(t, "next", 2048)
	_, err := v.Verify(t.Context(), sign("next"), "")
	wantCode(t, err, fault.Unauthenticated, "unknown_key") // within the cool-down
	if n := issuer.Fetches.Load(); n != 1 {
		t.Fatalf("%d fetches within the cool-down", n)
	}
	clock.Advance(31 * time.Second)
	var wg sync.WaitGroup
	token := sign("next")
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), token, ""); err != nil {
				t.Errorf("after the cool-down: %v", err)
			}
		})
	}
	wg.Wait()
	if n := issuer.Fetches.Load(); n != 2 {
		t.Fatalf("%d fetches for one new key, want one more", n-1)
	}
}

func TestRemovedKeyStopsCounting(t *testing.T) {
	t.Parallel()
	issuer, clock := authtest.StartIssuer(t), newClock()
	v := newVerifier(t, clock.Now, issuer)
	verify := func() error {
		_, err := v.Verify(t.Context(), issuer.Sign(t, "rsa", issuer.Claims("a@example.com", clock.Now())), "")
		return err
	}
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	issuer.Remove("rsa")
	if err := verify(); err != nil {
		t.Fatalf("within the time to live: %v", err)
	}
	clock.Advance(time.Hour)
	wantCode(t, verify(), fault.Unauthenticated, "unknown_key")
}

func TestKeysOutliveTheIssuersOutage(t *testing.T) {
	t.Parallel()
	issuer, clock := authtest.StartIssuer(t), newClock()
	v := newVerifier(t, clock.Now, issuer)
	verify := func(kid string) error {
		_, err := v.Verify(t.Context(), issuer.Sign(t, kid, issuer.Claims("a@example.com", clock.Now())), "")
		return err
	}
	issuer.Down.Store(true)
	wantCode(t, verify("rsa"), fault.Unavailable, "issuer_unavailable") // an outage is not a refusal
	if err := v.Probe(t.Context()); err == nil {
		t.Error("the probe passes without keys")
	}
	issuer.Down.Store(false)
	clock.Advance(31 * time.Second)
	if err := verify("rsa"); err != nil {
		t.Fatalf("after the outage: %v", err)
	}
	issuer.Down.Store(true)
	clock.Advance(5 * time.Hour)
	if err := verify("rsa"); err != nil {
		t.Fatalf("stale keys must serve through an outage: %v", err)
	}
	if err := v.Probe(t.Context()); err != nil {
		t.Errorf("cached keys are enough for the probe: %v", err)
	}
	issuer.AddRSA(t, "unseen", 2048)
	wantCode(t, verify("unseen"), fault.Unavailable, "issuer_unavailable")
	clock.Advance(25 * time.Hour)
	wantCode(t, verify("rsa"), fault.Unavailable, "issuer_unavailable") // but not for ever
}

func TestTokenWithoutKeyIDNeedsASingleKey(t *testing.T) {
	t.Parallel()
	issuer, clock := authtest.StartIssuer(t), newClock()
	v := newVerifier(t, clock.Now, issuer)
	issuer.Publish("", issuer.Key("rsa"), map[string]any{"kty": "none"}) // signs without being published
	token := issuer.Sign(t, "", issuer.Claims("a@example.com", clock.Now()))
	if _, err := v.Verify(t.Context(), token, ""); err != nil {
		t.Fatalf("one RS256 key is published, so no id is needed: %v", err)
	}
	issuer.AddRSA(t, "second", 2048)
	clock.Advance(time.Hour)
	_, err := v.Verify(t.Context(), issuer.Sign(t, "", issuer.Claims("a@example.com", clock.Now())), "")
	wantCode(t, err, fault.Unauthenticated, "unknown_key")
}

// Who starts before its issuer must not lock people out for the whole cool-down: while there are no
// keys at all, they are asked for as often as callers are told to come back, and no more.
func TestWithoutAnyKeysTheIssuerIsAskedSooner(t *testing.T) {
	t.Parallel()
	issuer, clock := authtest.StartIssuer(t), newClock()
	v := newVerifier(t, clock.Now, issuer)
	verify := func() error {
		_, err := v.Verify(t.Context(), issuer.Sign(t, "rsa", issuer.Claims("a@example.com", clock.Now())), "")
		return err
	}
	issuer.Down.Store(true)
	wantCode(t, verify(), fault.Unavailable, "issuer_unavailable")
	issuer.Down.Store(false)
	clock.Advance(4 * time.Second)
	wantCode(t, verify(), fault.Unavailable, "issuer_unavailable")
	clock.Advance(time.Second)
	if err := verify(); err != nil {
		t.Errorf("after the time that callers were told: %v", err)
	}
}
