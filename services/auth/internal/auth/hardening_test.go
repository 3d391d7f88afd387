package auth_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

// Fault 1 of the system that this replaces: the backend, which decodes claims and checks no
// signature, was the only one to look at a token. The signatures themselves are checked in
// libs/oidc.
func TestFault01TheBackendNeverSeesAnUnverifiedToken(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	_, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "eyJhbGciOiJub25lIn0.eyJpc3MiOiJpc3N1ZXIifQ."})
	wantKind(t, err, fault.Unauthenticated)
	if len(w.Backend.Grants.All()) != 0 {
		t.Fatal("the backend was asked")
	}
}

// Fault 2: a cached session counted past its end, there was no logout, and a revocation took up
// to the cache's time to live.
func TestFault02AnEndedSessionIsRefusedWhateverTheCacheSays(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *authtest.World){
		"its time": func(*testing.T, *authtest.World) { <-time.After(time.Hour) },
		"logout": func(t *testing.T, w *authtest.World) {
			t.Helper()
			if err := logout(t, w, authwire.NewToken("tok")); err != nil {
				t.Error(err)
			}
		},
		"all of the user's": func(t *testing.T, w *authtest.World) {
			t.Helper()
			if _, err := revoke(t, w, auth.RevokeRequest{Caller: authwire.NewToken("tok")}); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := authtest.NewWorld()
				alice := authtest.Alice()
				w.Backend.Add(authwire.NewToken("tok"), alice)
				if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
					t.Fatal(err)
				}
				end(t, w)
				// A cache that did not hear of it.
				w.Cache.Put(authwire.NewToken("tok"), auth.Record{Session: alice, Active: true})
				if _, err := resolve(t, w, authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// Fault 12: a deadline per hop, stacked, and a slow NoETL locked every user out.
func TestFault12ASlowBackendDelaysNobodyWhoIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld(func(r *auth.Rules) { r.Budget = 12 * time.Second })
		w.Cache.Put(authwire.NewToken("known"), auth.Record{Session: authtest.Alice(), Active: true})
		w.Backend.Validating = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		late := make(chan error, 100)
		begin := time.Now()
		for i := range cap(late) {
			go func() {
				_, err := resolve(t, w, authwire.NewToken("unknown-"+string(rune('a'+i%26))))
				late <- err
			}()
		}
		synctest.Wait()
		if _, err := resolve(t, w, authwire.NewToken("known")); err != nil || time.Since(begin) != 0 {
			t.Errorf("who is known waited %s: %v", time.Since(begin), err)
		}
		for range cap(late) {
			wantKind(t, <-late, fault.Unavailable)
		}
		if took := time.Since(begin); took != 12*time.Second {
			t.Errorf("one deadline for all is 12 s, it took %s", took)
		}
		if n := w.Backend.Asked.Load(); n != 26 {
			t.Errorf("%d questions about 26 tokens", n)
		}
	})
}

// A browser may be sent back by another provider than the one it was sent to. One that announces to name itself in
// its answers must (RFC 9207, section 2.4).
func TestAnAnswerThatNamesNobodyIsRefusedWhereNamesAreAnnounced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		announced bool
		issuer    string
		ok        bool
	}{{true, "issuer", true}, {true, "", false}, {true, "other", false}, {false, "", true}, {false, "other", false}} {
		w := authtest.NewWorld()
		if c.announced {
			w.Provider.Announces.Store(true)
		}
		_, back := begin(t, w, auth.BrowserBeginRequest{})
		back.Issuer = c.issuer
		_, err := w.Service.BrowserFinish(t.Context(), back)
		if (err == nil) != c.ok || (err != nil && fault.Of(err).Code != "wrong_issuer") {
			t.Errorf("%+v: %v", c, err)
		}
		if !c.ok && len(w.Backend.Grants.All()) != 0 {
			t.Errorf("%+v: a session was opened", c)
		}
	}
}

// An address that sends bad tokens without end costs the backend nothing more, and stops nobody whose session began
// here or is in the shared records.
func TestWhatOnlyTheRecordsKnowIsToldWithoutTheBackend(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	opened, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"})
	if err != nil {
		t.Fatal(err)
	}
	w.Backend.Add(authwire.NewToken("elsewhere"), authtest.Alice())
	w.Backend.Add(authwire.NewToken("recorded"), authtest.Alice())
	w.Cache.Put(authwire.NewToken("recorded"), auth.Record{Session: authtest.Alice(), Active: true})
	for token, kind := range map[auth.Token]fault.Kind{opened.Token: 0, authwire.NewToken(
		"recorded",
	): 0, authwire.NewToken("elsewhere"): fault.RateLimited, authwire.NewToken("invented"): fault.RateLimited} {
		_, err := w.Service.Resolve(t.Context(), auth.ResolveRequest{Token: token, KnownOnly: true})
		if got, failed := fault.KindOf(err); failed != (kind != 0) || (failed && got != kind) {
			t.Errorf("%s: %v", token, err)
		}
	}
	if _, err := w.Service.Resolve(
		t.Context(), auth.ResolveRequest{Token: authwire.NewToken("elsewhere")},
	); err != nil {
		t.Errorf("when the backend may be asked: %v", err)
	}
	if _, err := w.Service.Logout(t.Context(), auth.LogoutRequest{Token: opened.Token}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Resolve(t.Context(), auth.ResolveRequest{Token: opened.Token, KnownOnly: true}); !errors.Is(
		err,
		auth.ErrNoSession,
	) {
		t.Errorf("an ended session: %v", err)
	}
}

// NoETL's login gives a new user the roles of everybody with the same address, so whoever signs up at the issuer with
// the address of an administrator, and does not own it, must not get there: by whatever kind of token.
func TestAnUnverifiedAddressOpensNoSession(t *testing.T) {
	t.Parallel()
	for _, rejects := range []bool{true, false} {
		w := bearerWorld(func(r *auth.Rules) { r.RejectUnverified = rejects })
		id := w.Verifier.Identities["alice-token"]
		id.EmailVerified, id.EmailUnverified = false, true
		w.Verifier.Identities["mallory-token"] = id
		claims := access(time.Hour)
		claims.Identity.EmailVerified, claims.Identity.EmailUnverified = false, true
		w.Verifier.Access[accessToken] = claims
		_, byLogin := w.Service.Login(t.Context(), auth.LoginRequest{Token: "mallory-token"})
		_, byAccessToken := bearer(t, w)
		for how, err := range map[string]error{"login": byLogin, "access token": byAccessToken} {
			if rejects {
				wantKind(t, err, fault.Unauthenticated)
			}
			if rejected := err != nil && fault.Of(err).Code == "email_not_verified"; rejected != rejects {
				t.Errorf("%s, rejects %t: %v", how, rejects, err)
			}
		}
		if asked := len(w.Backend.Grants.All()); (asked == 0) != rejects {
			t.Errorf("rejects %t: the backend was asked %d times", rejects, asked)
		}
		// Many issuers verify addresses and do not say so.
		id.EmailUnverified = false
		w.Verifier.Identities["silent-token"] = id
		if _, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "silent-token"}); err != nil {
			t.Errorf("a token that says nothing, rejects %t: %v", rejects, err)
		}
	}
}
