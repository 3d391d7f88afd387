package edgetest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// GoodAccessToken is the access token that [Auth.Bearer] accepts, of any signature: header {"alg":"RS256"}.
const GoodAccessToken = "eyJhbGciOiJSUzI1NiJ9.e30.good"

var _ edge.Bearers = (*Auth)(nil)

// Bearer accepts [GoodAccessToken] and what [Auth.Accept] added; the first is the session of the demo user.
func (a *Auth) Bearer(_ context.Context, in authwire.BearerRequest) (out authwire.BearerResponse, err error) {
	a.Bearers.Add(in)
	if err := a.Err(); err != nil {
		return out, err
	}
	if in.AccessToken == GoodAccessToken {
		if _, ok := a.accepted.Get(in.AccessToken); !ok {
			a.Accept(in.AccessToken, demo(), []string{"playbooks:read", "playbooks:execute"}, time.Hour)
		}
	}
	out, ok := a.accepted.Get(in.AccessToken)
	if !ok {
		return out, fault.New(
			fault.Unauthenticated, "wrong_audience", "the access token was issued for another resource",
		)
	}
	return out, nil
}

// Accept makes an access token one of a user, and returns the session that it opens.
func (a *Auth) Accept(token string, user authwire.User, scopes []string, life time.Duration) string {
	session := a.Add(user)
	a.accepted.Put(token, authwire.BearerResponse{
		SessionToken: session, Scopes: scopes, ExpiresAt: time.Now().Add(life).UTC(),
	})
	return session
}

// RunBearers is the conformance suite of [edge.Bearers].
func RunBearers(t *testing.T, newPort func(t *testing.T) (edge.Bearers, *Auth)) {
	t.Helper()
	port, behind := newPort(t)
	in := authwire.BearerRequest{AccessToken: GoodAccessToken, ClientIP: "192.0.2.1", ClientUserAgent: "ua"}
	out, err := port.Bearer(t.Context(), in)
	if err != nil || out.SessionToken == "" || len(out.Scopes) != 2 || time.Until(out.ExpiresAt) < 59*time.Minute {
		t.Errorf("%+v, %v", out, err)
	}
	if diff := cmp.Diff(in, behind.Bearers.All()[0]); diff != "" {
		t.Error(diff)
	}
	_, err = port.Bearer(t.Context(), authwire.BearerRequest{AccessToken: "another"})
	wantFault(t, err, fault.New(
		fault.Unauthenticated, "wrong_audience", "the access token was issued for another resource",
	))
	for _, want := range refusals() {
		behind.Fail(want)
		_, err := port.Bearer(t.Context(), in)
		wantFault(t, err, want)
	}
	behind.Fail(nil)
}

// RunNearBearers is the conformance suite of [edge.NearBearers].
func RunNearBearers(t *testing.T, newMemory func() edge.NearBearers) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, key := newMemory(), authwire.NewToken("a").Key()
		if _, ok := m.Get(key); ok {
			t.Error("it knows what it was not told")
		}
		want := authwire.BearerResponse{SessionToken: "s", Scopes: []string{"x"}, ExpiresAt: time.Now().Add(time.Hour)}
		m.Set(key, want, time.Minute)
		<-time.After(59 * time.Second)
		if got, ok := m.Get(key); !ok || !cmp.Equal(got, want) {
			t.Errorf("%+v %v", got, ok)
		}
		<-time.After(time.Second)
		if _, ok := m.Get(key); ok {
			t.Error("it remembers longer than it may")
		}
		if _, ok := m.Get(authwire.NewToken("b").Key()); ok {
			t.Error("another's")
		}
	})
}

// RunBadBearers is the conformance suite of [edge.BadBearers]: the counter allows two concurrently.
func RunBadBearers(t *testing.T, newCounter func() edge.BadBearers) {
	t.Helper()
	c := newCounter()
	for range 2 {
		if err := c.Exhausted("192.0.2.1"); err != nil {
			t.Errorf("too early: %v", err)
		}
		c.Count("192.0.2.1")
	}
	err := c.Exhausted("192.0.2.1")
	if f := fault.Of(err); f == nil || f.Kind != fault.RateLimited || f.RetryAfter <= 0 {
		t.Errorf("%v", err)
	}
	for _, other := range []string{"192.0.2.2", "2001:db8::1", ""} {
		if err := c.Exhausted(other); err != nil {
			t.Errorf("%q: %v", other, err)
		}
	}
	c.Count("2001:db8::1")
	c.Count("2001:db8::2")
	if c.Exhausted("2001:db8::3") == nil || c.Exhausted("2001:db8:0:1::1") != nil {
		t.Error("one customer's network is one address")
	}
}

var (
	_ edge.NearBearers = (*NearBearers)(nil)
	_ edge.BadBearers  = (*BadBearers)(nil)
)

// NearBearers is a memory without a bound.
type NearBearers struct {
	known fake.Map[authwire.TokenKey, nearBearer]
}

type nearBearer struct {
	authwire.BearerResponse

	until time.Time
}

// Get implements the port.
func (n *NearBearers) Get(key authwire.TokenKey) (authwire.BearerResponse, bool) {
	r, ok := n.known.Get(key)
	return r.BearerResponse, ok && time.Now().Before(r.until)
}

// Set implements the port.
func (n *NearBearers) Set(key authwire.TokenKey, r authwire.BearerResponse, life time.Duration) {
	n.known.Put(key, nearBearer{r, time.Now().Add(life)})
}

// BadBearers refuses an address, by its text, after Allow refused tokens, if Allow is above 0.
type BadBearers struct {
	Allow int
	seen  fake.Map[string, int]
}

// Exhausted implements the port.
func (b *BadBearers) Exhausted(clientIP string) error {
	if n, _ := b.seen.Get(clientIP); b.Allow > 0 && n >= b.Allow {
		return fault.New(fault.RateLimited, "too_many", "too many").After(time.Second)
	}
	return nil
}

// Count implements the port.
func (b *BadBearers) Count(clientIP string) {
	b.seen.Change(clientIP, func(n int, _ bool) (int, bool) { return n + 1, true })
}
