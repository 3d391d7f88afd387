package contract

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/tests/stack"
)

// World is a gateway that runs, with NoETL behind it. Requests go to its replicas in turn.
type World struct {
	Public, Internal, Admin []string
	Operator                []string // the public ones if these serve operators
	Fanout                  []string // admin listeners of those who hold streams
	Issuer                  string
	NoETL                   *noetltest.Server // between the gateway and the sandbox
	google, stranger        *oidctest.Issuer
	NATS                    *nats.Conn
	JetStream               jetstream.JetStream
	turn                    int
	lingering               int           // streams that nobody waits for to end
	Listeners               []string      // every HTTP listener of the gateway
	Logs                    func() string // of all processes
	logins                  map[string]string
}

// common are the settings of every case: no limit gets in the way, and bounds are small enough
// to be passed.
func common(noetl, google string) []string {
	return []string{
		"NOETL_BASE_URL=" + noetl,
		"LOG_LEVEL=warn",
		"GATEWAY_ENFORCE_ACCESS=off",
		"GATEWAY_SUBSCRIPTION_PATHS=chat_threads/{thread_id}/**,boards/{board}/**",
		"GATEWAY_SUBSCRIPTION_KV_BUCKET=noetl_documents",
		"CORS_ALLOWED_ORIGINS=https://app.example,https://*.preview.example",
		"GATEWAY_MAX_BODY_BYTES=200000",
		"INGRESS_MAX_BODY_BYTES=200000",
		"AUTH_PLAYBOOK_TIMEOUT_SECS=4",
		"AUTH_ACCESS_CACHE_TTL_SECS=0",
		"AUTH_LOGIN_RATE_ACCOUNT_PER_MIN=0",
		"GATEWAY_LOGIN_RATE_ADDRESS_PER_MIN=0",
		"GATEWAY_BAD_SESSION_RATE_ADDRESS_PER_MIN=0",
		"INGRESS_FAILURE_RATE_PER_MIN=0",
		"GATEWAY_STREAM_RATE_ADDRESS_PER_MIN=0",
		"INGRESS_GOOGLE_JWKS_URL=" + google + "jwks",
	}
}

// StartWorld starts one process, or two of each service.
func StartWorld(tb testing.TB, split bool, settings ...string) *World {
	tb.Helper()
	w := &World{
		NoETL: noetltest.Start(tb), google: oidctest.StartIssuer(tb), stranger: oidctest.StartIssuer(tb),
		logins: map[string]string{},
	}
	w.stranger.AddRSA(tb, "unknown", 2048)
	policy := filepath.Join(stack.Root(), "services", "standalone", "app", "policy.yaml")
	listeners := filepath.Join(stack.Root(), "tests", "contract", "testdata", "listeners.yaml")
	env := common(w.NoETL.URL, w.google.URL)
	for _, s := range settings {
		env = append(env, strings.NewReplacer(
			"${noetl}", w.NoETL.URL, "${policy}", policy, "${listeners}", listeners,
		).Replace(s))
	}
	var address string
	var as []nats.Option
	if split {
		s := stack.StartSplit(tb, env...)
		for i := range stack.Replicas {
			w.Public = append(w.Public, s.Edge[i].Ready.Public)
			w.Internal = append(w.Internal, s.Fanout[i].Ready.Internal)
			w.Fanout = append(w.Fanout, s.Fanout[i].Ready.Admin)
			w.Admin = append(w.Admin, s.Edge[i].Ready.Admin)
			w.Operator = append(w.Operator, s.Edge[i].Ready.Operator)
		}
		var procs []*stack.Proc
		for i := range stack.Replicas {
			procs = append(procs, s.Edge[i], s.Fanout[i], s.Auth[i], s.Ingress[i])
		}
		w.observe(procs...)
		w.Issuer, address = s.Sandbox.Ready.Issuer, s.NATS.URL
		as = append(as, nats.UserInfo("admin", stack.Password("admin")))
	} else {
		p := stack.Standalone(tb, env...)
		w.observe(p)
		w.Public, w.Internal, w.Admin, w.Fanout = []string{p.Ready.Public}, []string{
			p.Ready.Internal,
		}, []string{p.Ready.Admin}, []string{p.Ready.Admin}
		w.Operator = w.Public // where `dev` serves operators
		w.Issuer, address = p.Ready.Issuer, p.Ready.NATS
	}
	w.NoETL.PassOn(tb, strings.TrimSuffix(w.Issuer, "/oidc"))
	nc, err := nats.Connect(address, as...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	w.NATS, w.JetStream = nc, js
	return w
}

// sign makes a JSON Web Token. signer is google, stranger (Google's key id, another key), unknown (another key id), or
// none (unsigned).
func (w *World) sign(tb testing.TB, signer, text string) string {
	tb.Helper()
	var claims map[string]any
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		tb.Fatal(err)
	}
	switch signer {
	case "google":
		return w.google.Sign(tb, "rsa", claims)
	case "stranger":
		return w.stranger.Sign(tb, "rsa", claims)
	case "unknown":
		return w.stranger.Sign(tb, "unknown", claims)
	case "none":
		return oidctest.Unsigned(tb, claims)
	}
	tb.Fatalf("there is no signer %q", signer)
	return ""
}

// observe takes the addresses and the logs of the gateway's processes.
func (w *World) observe(procs ...*stack.Proc) {
	for _, p := range procs {
		for _, address := range []string{p.Ready.Public, p.Ready.Internal, p.Ready.Admin} {
			if address != "" {
				w.Listeners = append(w.Listeners, address)
			}
		}
	}
	w.Logs = func() string {
		var all strings.Builder
		for _, p := range procs {
			all.WriteString(p.Logs())
		}
		return all.String()
	}
}

// next returns the base URL of the replica whose turn it is.
func (w *World) next(of []string) string {
	w.turn++
	return of[w.turn%len(of)]
}

// accounts are the names that cases have for the sandbox's people.
var accounts = map[string]string{
	"session":   "demo@example.com",
	"session2":  "viewer@example.com",
	"admin":     "admin@example.com",
	"developer": "developer@example.com",
}

// Login returns the session of demo (session), viewer (session2), admin or developer.
func (w *World) Login(tb testing.TB, name string) string {
	tb.Helper()
	return w.login(tb, name)
}

// login returns the session of an account, made once.
func (w *World) login(tb testing.TB, name string) string {
	tb.Helper()
	if w.logins[name] == "" {
		w.logins[name] = stack.Login(tb, w.Public[0], w.Issuer, accounts[name])
	}
	return w.logins[name]
}
