package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/testkit"
)

const mcpResource = "https://gw.example.com/mcp"

func accessToken(t *testing.T, issuer *oidctest.Issuer, change ...func(jwt.MapClaims)) string {
	t.Helper()
	claims := issuer.Claims("viewer@example.com", time.Now())
	claims["aud"], claims["scope"] = mcpResource, "playbooks:read playbooks:execute"
	for _, f := range change {
		f(claims)
	}
	header := map[string]any{"kid": "rsa", "typ": "at+jwt"}
	return oidctest.SignWith(t, jwt.SigningMethodRS256, issuer.Key("rsa"), header, claims)
}

func with(name string, value any) func(jwt.MapClaims) {
	return func(c jwt.MapClaims) { c[name] = value }
}

func (r *replica) bearer(t *testing.T, token string) (authwire.BearerResponse, error) {
	t.Helper()
	return call[authwire.BearerRequest, authwire.BearerResponse](
		t, r, authwire.SubjectBearer, authwire.BearerRequest{AccessToken: token, ClientIP: "192.0.2.7"},
	)
}

func TestAnAccessTokenIsOneSessionOnEveryReplicaAndAfterARestart(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync", "local"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			w.env = append(w.env, "GATEWAY_PUBLIC_URL=https://gw.example.com/")
			token := accessToken(t, w.issuer)
			var first authwire.BearerResponse
			t.Run("two replicas", func(t *testing.T) { // which end with it
				w.start(t)
				r := w.start(t)
				var mu sync.Mutex
				seen := map[string]bool{}
				var wg sync.WaitGroup
				for range 16 {
					wg.Go(func() {
						out, err := r.bearer(t, token)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						defer mu.Unlock()
						seen[out.SessionToken], first = true, out
					})
				}
				wg.Wait()
				if len(seen) != 1 {
					t.Fatalf("%d sessions", len(seen))
				}
			})
			r := w.start(t)
			out, err := r.bearer(t, token)
			if err != nil || out.SessionToken != first.SessionToken || len(out.Scopes) != 2 ||
				time.Until(out.ExpiresAt) > time.Hour {
				t.Fatalf("after a restart: %+v, %v", out, err)
			}
			s, err := r.resolve(t, out.SessionToken)
			if err != nil || s.Email != "viewer@example.com" || s.ExpiresAt.After(out.ExpiresAt.Add(time.Second)) {
				t.Fatalf("%+v, %v", s, err)
			}
			if err := r.logout(t, out.SessionToken); err != nil {
				t.Fatal(err)
			}
			_, err = r.bearer(t, token)
			wantKind(t, err, fault.Unauthenticated)
			_, err = w.start(t).bearer(t, token)
			wantKind(t, err, fault.Unauthenticated)
		})
	}
}

// NoETL, which keeps what it gets, never gets the access token.
func TestNoETLDoesNotGetTheAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "playbook")
	r := w.start(t, "GATEWAY_MCP_RESOURCE="+mcpResource+",another")
	token := accessToken(t, w.issuer)
	var sent string
	w.noetl.Answer(func(_ string, in map[string]any) any {
		if text, ok := in["auth0_token"].(string); ok {
			sent = text
		}
		return nil
	})
	_, err := r.bearer(t, token)
	wantKind(t, err, fault.Unavailable) // an answer that opens nothing
	parts := strings.Split(sent, ".")
	if len(parts) != 3 || parts[2] != "" {
		t.Fatalf("sent %q", sent)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil || claims["email"] != "viewer@example.com" ||
		claims["scope"] != nil || claims["aud"] != nil || claims["iss"] != w.issuer.URL {
		t.Errorf("%s, %v", body, err)
	}
	if _, err := r.login(t, authwire.LoginRequest{Auth0Token: sent}); err == nil {
		t.Error("what NoETL has logs in")
	}
	_, err = r.bearer(t, sent)
	wantKind(t, err, fault.Unauthenticated)
}

func TestTokensThatAreNotForTheResourceOpenNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	r := w.start(t, "GATEWAY_MCP_RESOURCE="+mcpResource)
	stranger := oidctest.StartIssuer(t)
	claims := w.issuer.Claims("viewer@example.com", time.Now())
	claims["aud"], claims["scope"] = mcpResource, "x"
	good := accessToken(t, w.issuer)
	for name, token := range map[string]string{
		"wrong audience": accessToken(t, w.issuer, with("aud", "https://elsewhere.example.com/")),
		"other resource": accessToken(t, w.issuer, with("aud", "https://gw.example.com/other")),
		"an application": accessToken(t, w.issuer, with("aud", oidctest.Audience)),
		"ID token":       w.issuer.Token(t, "viewer@example.com"),
		"expired":        accessToken(t, w.issuer, with("exp", time.Now().Add(-time.Minute).Unix())),
		"alg none":       oidctest.Unsigned(t, claims),
		"another's key":  stranger.Sign(t, "rsa", claims),
		"a stranger's":   accessToken(t, stranger),
		"no signature":   good[:strings.LastIndexByte(good, '.')+1],
		"a session":      r.mustLogin(t, w.issuer.Token(t, "viewer@example.com")).SessionToken,
		"nothing":        "",
	} {
		out, err := r.bearer(t, token)
		if kind, _ := fault.KindOf(err); kind != fault.Unauthenticated || out.SessionToken != "" {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if _, err := r.bearer(t, good); err != nil {
		t.Errorf("the control: %v", err)
	}
	if _, err := r.login(t, authwire.LoginRequest{Auth0Token: good}); err == nil {
		t.Error("an access token of the resource logs in as an application's")
	}
}

// Whoever reads all of NATS learns neither the access token nor its session.
func TestTheStoreOfAccessTokensGivesNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	r := w.start(t, "GATEWAY_MCP_RESOURCE="+mcpResource)
	token := accessToken(t, w.issuer)
	out, err := r.bearer(t, token)
	if err != nil {
		t.Fatal(err)
	}
	js, read := w.nats.JetStream(t), 0
	for info := range js.ListStreams(t.Context()).Info() {
		stream, err := js.Stream(t.Context(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
			msg, err := stream.GetMsg(t.Context(), seq)
			if err != nil {
				continue // overwritten
			}
			read++
			for _, secret := range []string{out.SessionToken, token[strings.LastIndexByte(token, '.')+1:], token} {
				if strings.Contains(string(msg.Data)+msg.Subject, secret) {
					t.Errorf("%s shows a secret", msg.Subject)
				}
			}
		}
	}
	if read < 3 {
		t.Errorf("only %d messages were read", read)
	}
	kv, err := js.KeyValue(t.Context(), "gateway_auth_bearers")
	if err != nil {
		t.Fatal(err)
	}
	names, err := kv.Keys(t.Context())
	if err != nil || len(names) != 1 {
		t.Fatalf("%v %v", names, err)
	}
	// Whoever may write there cannot make a record that opens either.
	if _, err := kv.Put(t.Context(), names[0], []byte("another's session")); err != nil {
		t.Fatal(err)
	}
	_, err = r.bearer(t, token)
	wantKind(t, err, fault.Unauthenticated)
}

func TestAccessTokensWhileNATSStoresNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	r := w.start(t, "GATEWAY_MCP_RESOURCE="+mcpResource, "GATEWAY_STORE_MAX_BYTES=16777216")
	if _, err := r.bearer(t, accessToken(t, w.issuer)); err != nil {
		t.Fatal(err)
	}
	kv, err := w.nats.JetStream(t).KeyValue(t.Context(), "gateway_auth_bearers")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, kv)
	_, err = r.bearer(t, accessToken(t, w.issuer, with("jti", "another")))
	wantKind(t, err, fault.Unavailable)
	if _, err := r.bearer(t, accessToken(t, w.issuer)); err != nil && fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

// An account that is sized exactly has no room for a bucket that nobody needs.
func TestTheBucketIsMadeWithTheFirstAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	js := w.nats.JetStream(t)
	t.Run("off", func(t *testing.T) { // it ends with this
		r := w.start(t)
		r.mustLogin(t, w.issuer.Token(t, "viewer@example.com"))
		_, err := r.bearer(t, accessToken(t, w.issuer))
		wantKind(t, err, fault.Unauthenticated) // it accepts none
	})
	on := w.start(t, "GATEWAY_MCP_RESOURCE="+mcpResource)
	if _, err := js.KeyValue(t.Context(), "gateway_auth_bearers"); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("before the first: %v", err)
	}
	if _, err := on.bearer(t, accessToken(t, w.issuer)); err != nil {
		t.Fatal(err)
	}
	if _, err := js.KeyValue(t.Context(), "gateway_auth_bearers"); err != nil {
		t.Error(err)
	}
}

// fill writes until the bucket takes no more.
func fill(t *testing.T, kv jetstream.KeyValue) {
	t.Helper()
	for i := range 1000 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := kv.Put(ctx, "flood-"+time.Duration(i).String(), make([]byte, 16<<10))
		cancel()
		if err != nil {
			for i := range 1000 { // the rest, in small pieces
				if _, err := kv.Put(t.Context(), "drop-"+time.Duration(i).String(), make([]byte, 64)); err != nil {
					return
				}
			}
		}
	}
	t.Fatal("the bucket is never full")
}

func TestTheRevocationOfAUserEndsWhatAccessTokensOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	r := w.start(t, "GATEWAY_MCP_RESOURCE="+mcpResource)
	token := accessToken(t, w.issuer)
	unused := accessToken(t, w.issuer, with("jti", "unused"))
	out, err := r.bearer(t, token)
	if err != nil {
		t.Fatal(err)
	}
	admin := r.mustLogin(t, w.issuer.Token(t, "admin@example.com"))
	_, err = call[authwire.RevokeRequest, authwire.RevokeResponse](t, r, authwire.SubjectRevoke,
		authwire.RevokeRequest{SessionToken: admin.SessionToken, Email: "viewer@example.com"})
	testkit.Must(t, err)
	_, err = r.resolve(t, out.SessionToken)
	wantKind(t, err, fault.Unauthenticated)
	for _, token := range []string{token, unused} {
		_, err = r.bearer(t, token)
		wantKind(t, err, fault.Unauthenticated)
	}
	later := accessToken(t, w.issuer, func(c jwt.MapClaims) {
		c["iat"] = time.Now().Add(30 * time.Second).Unix() // a clock that is ahead, within what is tolerated
	})
	if _, err := r.bearer(t, later); err != nil {
		t.Errorf("a token from after it: %v", err)
	}
}
