package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

const accessToken = "header.claims.signature"

func access(life time.Duration) auth.AccessClaims {
	return auth.AccessClaims{
		Identity: auth.Identity{
			Issuer: "https://issuer.example.com/", Subject: "alice", Email: "alice@example.com", EmailVerified: true,
			Name: "Alice",
		},
		Scopes: []string{"playbooks:read"}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(life),
	}
}

func bearerWorld(change ...func(*auth.Rules)) *authtest.World {
	w := authtest.NewWorld(change...)
	w.Verifier.Access = map[string]auth.AccessClaims{accessToken: access(time.Hour)}
	return w
}

func bearer(t *testing.T, w *authtest.World) (auth.BearerResponse, error) {
	t.Helper()
	return w.Service.Bearer(t.Context(), auth.BearerRequest{
		AccessToken: accessToken, ClientIP: "192.0.2.1", UserAgent: "an agent\x00",
	})
}

func TestAnAccessTokenIsOneSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bearerWorld()
		first, err := bearer(t, w)
		if err != nil {
			t.Fatal(err)
		}
		want := auth.BearerResponse{
			Token: authwire.NewToken("session-1"), Scopes: []string{"playbooks:read"},
			ExpiresAt: time.Now().Add(time.Hour),
		}
		if !cmp.Equal(first, want, cmp.Comparer(func(a, b auth.Token) bool { return a == b })) {
			t.Errorf("%+v", first)
		}
		if again, err := bearer(t, w); err != nil || again.Token != first.Token {
			t.Errorf("again: %+v, %v", again, err)
		}
		grants := w.Backend.Grants.All()
		if len(grants) != 1 || grants[0].ClientIP != "192.0.2.1" || grants[0].UserAgent != "an agent" ||
			grants[0].Duration != time.Hour {
			t.Errorf("%+v", grants)
		}
		if _, found, err := w.Logins.Get(t.Context(), first.Token.Key()); err != nil || !found {
			t.Errorf("the login is recorded: %v %v", found, err)
		}
		if _, err := resolve(t, w, first.Token); err != nil {
			t.Error(err)
		}
	})
}

// The backend gets claims and nothing that anybody else takes for a token.
func TestTheBackendDoesNotGetTheAccessToken(t *testing.T) {
	t.Parallel()
	w := bearerWorld()
	if _, err := bearer(t, w); err != nil {
		t.Fatal(err)
	}
	sent := w.Backend.Grants.All()[0].Token
	parts := strings.Split(sent, ".")
	if len(parts) != 3 || parts[2] != "" || strings.Contains(sent, "signature") || strings.Contains(sent, "claims") {
		t.Fatalf("sent %q", sent)
	}
	var head, claims map[string]any
	for i, into := range []*map[string]any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	exp, _ := claims["exp"].(float64)
	delete(claims, "exp")
	want := map[string]any{
		"iss": "https://issuer.example.com/", "sub": "alice", "email": "alice@example.com", "email_verified": true,
		"name": "Alice",
	}
	if diff := cmp.Diff(want, claims); diff != "" || head["alg"] != "none" || int64(exp) <= time.Now().Unix() {
		t.Errorf("%v %v %s", head, exp, diff)
	}
}

func TestTheSessionLastsNoLongerThanTheAccessTokenAndTheLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		life, limit, want time.Duration
		backend           time.Duration // what it gives, 0 for what was asked
	}{
		"the token":               {time.Hour, 24 * time.Hour, time.Hour, 0},
		"the limit":               {48 * time.Hour, 24 * time.Hour, 24 * time.Hour, 0},
		"a backend with no limit": {time.Hour, 24 * time.Hour, time.Hour, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := bearerWorld(func(r *auth.Rules) { r.MaxSession = c.limit })
				w.Verifier.Access[accessToken] = access(c.life)
				w.Backend.Open = func(o auth.Opened) auth.Opened {
					if c.backend > 0 {
						o.Session.ExpiresAt = time.Now().Add(c.backend)
					}
					return o
				}
				out, err := bearer(t, w)
				if err != nil {
					t.Fatal(err)
				}
				session, err := resolve(t, w, out.Token)
				if err != nil || time.Until(session.ExpiresAt) != c.want {
					t.Errorf("%s, %v", time.Until(session.ExpiresAt), err)
				}
			})
		})
	}
}

func TestASessionThatWasEndedIsNotOpenedAgain(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *authtest.World, auth.Token) error{
		"logout": func(t *testing.T, w *authtest.World, token auth.Token) error {
			t.Helper()
			return logout(t, w, token)
		},
		"all of the user's": func(t *testing.T, w *authtest.World, token auth.Token) error {
			t.Helper()
			_, err := revoke(t, w, auth.RevokeRequest{Caller: token})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := bearerWorld()
				out, err := bearer(t, w)
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
				if err := end(t, w, out.Token); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					_, err = bearer(t, w)
					wantKind(t, err, fault.Unauthenticated)
				}
				if n := len(w.Backend.Grants.All()); n != 1 {
					t.Errorf("%d logins", n)
				}
			})
		})
	}
}

// A token that lay unused while all sessions of its user were ended opens none after it, and asks the backend once.
func TestATokenFromBeforeTheEndOfAllSessionsOpensNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bearerWorld()
		<-time.After(time.Minute)
		name := authwire.UserKeyOf(authwire.NameOfID(7)) // as the backend calls Alice
		if err := w.Revocations.RevokeUser(t.Context(), name, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, err := bearer(t, w)
			wantKind(t, err, fault.Unauthenticated)
		}
		if n := len(w.Backend.Grants.All()); n != 1 {
			t.Errorf("%d logins", n)
		}
		<-time.After(time.Second)
		w.Verifier.Access["a.newer.token"] = access(time.Hour)
		if _, err := w.Service.Bearer(t.Context(), auth.BearerRequest{AccessToken: "a.newer.token"}); err != nil {
			t.Errorf("a token from after it: %v", err)
		}
	})
}

func TestOutagesAreNoRefusals(t *testing.T) {
	t.Parallel()
	w := bearerWorld()
	w.Bearers.Down.Store(true)
	_, err := bearer(t, w)
	wantKind(t, err, fault.Unavailable)
	if n := len(w.Backend.Grants.All()); n != 0 {
		t.Errorf("%d logins that nobody could have remembered", n)
	}
	w.Bearers.Down.Store(false)
	w.Revocations.Down.Store(true)
	_, err = bearer(t, w)
	wantKind(t, err, fault.Unavailable)
	w.Revocations.Down.Store(false)
	out, err := bearer(t, w)
	if err != nil {
		t.Fatal(err)
	}
	w.Revocations.Down.Store(true)
	_, err = bearer(t, w)
	wantKind(t, err, fault.Unavailable)
	w.Revocations.Down.Store(false)
	if again, err := bearer(t, w); err != nil || again.Token != out.Token {
		t.Errorf("after the outage: %v %v", again, err)
	}
}

// Without room for the record a token opens another session with each try: none of them may live, and one try in a
// while is enough.
func TestAFullStoreLeavesNoSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bearerWorld()
		w.Bearers.Full.Store(true)
		for range 20 {
			_, err := bearer(t, w)
			wantKind(t, err, fault.Unavailable)
		}
		if n := len(w.Backend.Grants.All()); n != 1 {
			t.Errorf("%d logins", n)
		}
		_, err := resolve(t, w, authwire.NewToken("session-1"))
		wantKind(t, err, fault.Unauthenticated)
		<-time.After(31 * time.Second)
		w.Bearers.Full.Store(false)
		out, err := bearer(t, w)
		if err != nil || len(w.Backend.Grants.All()) != 2 {
			t.Fatalf("when there is room: %v, %d logins", err, len(w.Backend.Grants.All()))
		}
		w.Bearers.Full.Store(true) // what is known needs none
		if again, err := bearer(t, w); err != nil || again.Token != out.Token {
			t.Errorf("%v %v", again, err)
		}
	})
}

func TestLimitsAndRefusalsOfAccessTokens(t *testing.T) {
	t.Parallel()
	w := bearerWorld()
	nameless := access(time.Hour)
	nameless.Identity.Email = ""
	w.Verifier.Access["a.nameless.one"] = nameless
	for token, code := range map[string]string{
		"": "missing_token", strings.Repeat("x", 17<<10): "token_too_large", "a.nameless.one": "no_email",
		"an.unknown.one": "token_refused",
	} {
		_, err := w.Service.Bearer(t.Context(), auth.BearerRequest{AccessToken: token})
		if f := fault.Of(err); f == nil || f.Kind != fault.Unauthenticated || f.Code != code {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	if len(w.Backend.Grants.All()) != 0 || len(w.Bearers.All()) != 0 {
		t.Error("a refused token left something")
	}
	w.Limiter.Allow = 1
	if _, err := bearer(t, w); err != nil {
		t.Fatal(err)
	}
	w.Verifier.Access["another.of.hers"] = access(time.Hour)
	_, err := w.Service.Bearer(t.Context(), auth.BearerRequest{AccessToken: "another.of.hers"})
	wantKind(t, err, fault.RateLimited)
	if _, err := bearer(t, w); err != nil {
		t.Errorf("a session that exists is not limited: %v", err)
	}
}

// Many who show the token concurrently, to two replicas, get one session; the loser ends its own.
func TestTwoReplicasOpenOneSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bearerWorld()
		other := bearerWorld()
		// Another replica: the same stores and backend, its own flights.
		replica := auth.New(auth.Deps{
			Verifier: other.Verifier, AccessTokens: other.Verifier, Bearers: w.Bearers, Backend: w.Backend,
			Resources: w.Backend, Cache: w.Cache, Revocations: w.Revocations, Logins: w.Logins, Limiter: w.Limiter,
			Meter: w.Meter, Logger: w.Service.Logger,
		}, auth.Rules{MaxSession: 24 * time.Hour, Budget: 12 * time.Second})
		var mu sync.Mutex
		tokens := map[auth.Token]int{}
		var wg sync.WaitGroup
		for i := range 20 {
			service := []*auth.Service{w.Service, replica}[i%2]
			wg.Go(func() {
				out, err := service.Bearer(context.Background(), auth.BearerRequest{AccessToken: accessToken})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				tokens[out.Token]++
			})
		}
		wg.Wait()
		if len(tokens) != 1 {
			t.Errorf("%d sessions", len(tokens))
		}
		for i := range w.Backend.Grants.All() {
			token := authwire.NewToken("session-" + string(rune('1'+i)))
			_, err := resolve(t, w, token)
			if _, used := tokens[token]; used != (err == nil) {
				t.Errorf("%s: used %v, %v", token.Reveal(), used, err)
			}
		}
		if n := len(w.Backend.Grants.All()); n > 2 {
			t.Errorf("%d logins in two replicas", n)
		}
	})
}

// What the store holds gives nobody a session, and neither does another signature of the same claims.
func TestTheRecordOpensWithTheTokenOnly(t *testing.T) {
	t.Parallel()
	w := bearerWorld()
	out, err := bearer(t, w)
	if err != nil {
		t.Fatal(err)
	}
	for name, sealed := range w.Bearers.All() {
		for _, secret := range []string{out.Token.Reveal(), accessToken, "signature", "alice"} {
			if strings.Contains(name, secret) || bytes.Contains(sealed, []byte(secret)) {
				t.Errorf("the store shows %q", secret)
			}
		}
	}
	w.Verifier.Access["header.claims.malleated"] = access(time.Hour)
	_, err = w.Service.Bearer(t.Context(), auth.BearerRequest{AccessToken: "header.claims.malleated"})
	if f := fault.Of(err); f == nil || f.Kind != fault.Unauthenticated || f.Code != "other_signature" {
		t.Errorf("another signature: %v", err)
	}
	if n := len(w.Backend.Grants.All()); n != 1 {
		t.Errorf("%d logins", n)
	}
}
