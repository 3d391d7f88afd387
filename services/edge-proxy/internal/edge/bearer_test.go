package edge_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func bearers(auth edge.Bearers, bad *edgetest.BadBearers) *edge.Service {
	return edge.New(edge.Deps{Bearers: auth, NearBearers: &edgetest.NearBearers{}, BadBearers: bad})
}

func show(ctx context.Context, s *edge.Service, token string) (edge.BearerResponse, error) {
	return s.Bearer(ctx, edge.BearerRequest{AccessToken: token, ClientIP: "192.0.2.1", UserAgent: "ua"})
}

func TestAnExchangeIsBelievedForAMinuteAndNotPastTheTokensEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ life, believed time.Duration }{
		"a long one":  {time.Hour, time.Minute},
		"a short one": {20 * time.Second, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				auth := &edgetest.Auth{}
				token := edgetest.GoodAccessToken + "x"
				session := auth.Accept(token, authwire.User{UserID: 7}, []string{"playbooks:read"}, c.life)
				svc := bearers(auth, &edgetest.BadBearers{})
				for _, at := range []time.Duration{0, c.believed - time.Millisecond, time.Millisecond} {
					<-time.After(at)
					out, err := show(t.Context(), svc, token)
					if err != nil {
						if c.life > c.believed {
							t.Errorf("%v", err)
						}
						continue
					}
					if out.Token != authwire.NewToken(session) || len(out.Scopes) != 1 ||
						!time.Now().Before(out.ExpiresAt) {
						t.Errorf("%+v", out)
					}
				}
				if n := len(auth.Bearers.All()); n != 2 {
					t.Errorf("auth was asked %d times", n)
				}
			})
		})
	}
}

func TestMadeUpTokensOfAnAddressAreSoonRefusedHere(t *testing.T) {
	t.Parallel()
	auth, bad := &edgetest.Auth{}, &edgetest.BadBearers{Allow: 3}
	svc := bearers(auth, bad)
	if _, err := show(t.Context(), svc, edgetest.GoodAccessToken); err != nil {
		t.Fatal(err)
	}
	kinds := map[fault.Kind]int{}
	for i := range 10 {
		_, err := show(t.Context(), svc, edgetest.GoodAccessToken+strings.Repeat("x", i+1))
		kind, _ := fault.KindOf(err)
		kinds[kind]++
	}
	if kinds[fault.Unauthenticated] != 3 || kinds[fault.RateLimited] != 7 || len(auth.Bearers.All()) != 4 {
		t.Errorf("%v, asked %d times", kinds, len(auth.Bearers.All()))
	}
	if _, err := show(t.Context(), svc, edgetest.GoodAccessToken); err != nil {
		t.Errorf("who is known has to wait: %v", err)
	}
}

func TestAnOutageOfAuthCountsAgainstNobody(t *testing.T) {
	t.Parallel()
	auth, bad := &edgetest.Auth{}, &edgetest.BadBearers{Allow: 1}
	svc := bearers(auth, bad)
	auth.Fail(fault.New(fault.Unavailable, "auth_unavailable", "down"))
	for range 3 {
		if _, err := show(t.Context(), svc, edgetest.GoodAccessToken); !fault.IsOutage(err) {
			t.Errorf("%v", err)
		}
	}
	auth.Fail(nil)
	if _, err := show(t.Context(), svc, edgetest.GoodAccessToken); err != nil {
		t.Error(err)
	}
}

// slow answers when it is told to.
type slow struct {
	edgetest.Auth

	let chan struct{}
}

func (s *slow) Bearer(ctx context.Context, in authwire.BearerRequest) (authwire.BearerResponse, error) {
	<-s.let
	return s.Auth.Bearer(ctx, in)
}

func TestManyWhoShowATokenAskOnceAndAClientThatLeavesStopsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		auth := &slow{let: make(chan struct{})}
		svc := bearers(auth, &edgetest.BadBearers{})
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := show(first, svc, edgetest.GoodAccessToken); !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if _, err := show(t.Context(), svc, edgetest.GoodAccessToken); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(auth.let)
		wg.Wait()
		if n := len(auth.Bearers.All()); n != 1 {
			t.Errorf("auth was asked %d times", n)
		}
	})
}

func TestWhatLooksLikeAnAccessToken(t *testing.T) {
	t.Parallel()
	b64 := base64.RawURLEncoding.EncodeToString
	for text, want := range map[string]bool{
		edgetest.GoodAccessToken:                    true,
		b64([]byte(`{"alg":"none"}`)) + ".e30.":     true, // auth refuses it
		b64([]byte(`{"alg":""}`)) + ".e30.x":        false,
		b64([]byte(`{"alg":1}`)) + ".e30.x":         false,
		b64([]byte(`{"typ":"JWT"}`)) + ".e30.x":     false,
		b64([]byte(`["alg"]`)) + ".e30.x":           false,
		b64([]byte(`{"alg":"RS256"}`)) + ".e30":     false,
		b64([]byte(`{"alg":"RS256"}`)) + ".e30.x.y": false,
		b64([]byte(`{"alg":"RS256"}`)) + ".a.b.c.d": false, // encrypted
		"": false, "..": false, "a.b.c": false, "session-token": false,
		"sbx_1001_1767225600_0123456789abcdef_0123":                       false,
		b64([]byte(`{"alg":"`+strings.Repeat("x", 9000)+`"}`)) + ".e30.x": false,
	} {
		if got := edge.IsAccessToken(text); got != want {
			t.Errorf("%.60q: %v", text, got)
		}
	}
	svc := bearers(&edgetest.Auth{}, &edgetest.BadBearers{})
	for _, text := range []string{"session-token", edgetest.GoodAccessToken + strings.Repeat("x", 17<<10)} {
		if _, err := show(t.Context(), svc, text); fault.Of(err) == nil || fault.Of(err).Kind != fault.Unauthenticated {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func FuzzIsAccessToken(f *testing.F) {
	f.Add(edgetest.GoodAccessToken)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if edge.IsAccessToken(text) && strings.Count(text, ".") != 2 {
			t.Errorf("%q is a token", text)
		}
	})
}
