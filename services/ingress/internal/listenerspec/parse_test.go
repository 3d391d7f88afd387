package listenerspec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

func parse(t *testing.T, path string) listenerspec.File {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return listenerspec.Parse(filepath.Base(path), text)
}

func lines(problems []listenerspec.Problem) string {
	var out strings.Builder
	for _, p := range problems {
		out.WriteString(p.String() + "\n")
	}
	return out.String()
}

// golden compares with a file; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v %v", pattern, paths, err)
	}
	return paths
}

func TestAllProblemsAreSaidInOneRun(t *testing.T) {
	t.Parallel()
	for _, path := range files(t, "invalid/*.yaml") {
		golden(t, strings.TrimSuffix(path, ".yaml")+".golden", lines(parse(t, path).Problems))
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	f := parse(t, "testdata/valid/doubtful.yaml")
	golden(t, "testdata/doubtful.golden", lines(f.Warnings))
	if len(f.Problems) > 0 || f.Documents[0].Config.Window != 0 {
		t.Errorf("%v, window %s", f.Problems, f.Documents[0].Config.Window)
	}
}

func TestEveryMemberHasItsMeaning(t *testing.T) {
	t.Parallel()
	f := parse(t, "testdata/valid/full.yaml")
	if len(f.Problems) > 0 || len(f.Documents) != 1 {
		t.Fatal(f.Problems)
	}
	want := ingress.ListenerConfig{
		Name: "orders", CatalogPath: "subscriptions/orders", Source: "webhook", Origin: ingress.OriginFile,
		Playbook: "shop/order", PayloadFrom: "message.body", ExecutionPool: "fast", OrderBy: "data.order.id",
		BothForms: true, Paused: true, Window: time.Hour, Patience: 2500 * time.Millisecond, MaxBody: 25 << 20,
		Retry: ingress.RetryConfig{
			MinDelay: 500 * time.Millisecond, MaxDelay: 10 * time.Minute, MaxAttempts: 20, Expire: 24 * time.Hour,
		},
		Limits: ingress.LimitsConfig{PerSecond: 2.5, Concurrency: 8},
		Rules: ingress.RulesConfig{
			Filter: `data.kind == "order"`, Route: `"shop/order"`, Allowed: []string{"shop/order"},
			Schema: json.RawMessage(`{"required":["order"],"type":"object"}`),
		},
		Directives: json.RawMessage(`{"directives":[` +
			`{"allowed":["fast","slow"],"controls":"dispatch.execution_pool","header":"x-pool"},` +
			`{"controls":"priority","header":"x-priority","map":{"high":"fast"}}],` +
			`"trace":{"baggage_allowlist":["tenant"],"propagate":"w3c"}}`),
		Verify: ingress.VerifyConfig{
			Type: "hmac_sha256", Header: "x-shop-signature", Audience: "an-audience", Issuer: "https://issuer.example",
			ServiceAccount: "sa@example.iam.gserviceaccount.com", PublicURL: "https://hooks.example/ingress/orders",
			TopicARNs:         []string{"arn:aws:sns:eu-west-1:123456789012:orders"},
			AllowAddresses:    []string{"192.0.2.0/24", "2001:db8::1"},
			ClientCertificate: "partner.example",
			Scheme:            json.RawMessage(`{"header":"x-signature","since":"2026-01-01"}`),
		},
	}
	d := f.Documents[0]
	if diff := cmp.Diff(want, d.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	secrets := []listenerspec.Secret{
		{File: "secrets/orders-new"},
		{Env: "ORDERS_OLD", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{Keychain: "orders_older", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Value: "plain"},
	}
	if diff := cmp.Diff(secrets, d.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(listenerspec.Secret{Env: "ORDERS_TOKEN"}, d.VerifyToken); diff != "" {
		t.Errorf("verify token (-want +got):\n%s", diff)
	}
}

// NoETL's catalog has the same documents in its tests (services/catalog.rs).
func TestWhatNoETLAcceptsMeansTheSame(t *testing.T) {
	t.Parallel()
	f := parse(t, "testdata/valid/noetl.yaml")
	if len(f.Problems)+len(f.Warnings) > 0 {
		t.Fatal(lines(f.Problems), lines(f.Warnings))
	}
	verify := func(kind string) ingress.VerifyConfig { return ingress.VerifyConfig{Type: kind} }
	signed, billing := verify("hmac_sha256"), verify("pubsub_oidc")
	signed.Header = "stripe-signature"
	billing.Audience = "https://gw.noetl.acme/ingress/billing"
	billing.ServiceAccount = "pubsub-push@acme.iam.gserviceaccount.com"
	want := []listenerspec.Document{
		{Pull: true, Config: ingress.ListenerConfig{CatalogPath: "subscriptions/iot"}},
		{Pull: true, Config: ingress.ListenerConfig{CatalogPath: "subscriptions/drain"}},
		{
			Config: ingress.ListenerConfig{
				Name: "stripe", CatalogPath: "subscriptions/stripe", Source: "webhook", Origin: "file", Verify: signed,
				Playbook: "domain/handle_stripe",
			},
			// The name of a credential, never the secret itself: it is no secret.
			Secrets: []listenerspec.Secret{{Keychain: "stripe_webhook_secret"}},
		},
		{
			Config: ingress.ListenerConfig{
				Name: "hook", CatalogPath: "hook", Source: "webhook", Origin: "file", Verify: verify("bearer"),
				Playbook: "domain/handle", Window: 10 * time.Minute,
				Limits: ingress.LimitsConfig{PerSecond: 200, Concurrency: 1000},
			},
			Secrets: []listenerspec.Secret{{Keychain: "hook_token"}},
		},
		{Config: ingress.ListenerConfig{
			Name: "billing", CatalogPath: "billing", Source: "pubsub", Origin: "file", Verify: billing,
			Playbook: "domain/handle_billing",
		}},
	}
	if diff := cmp.Diff(want, f.Documents, cmpopts.IgnoreUnexported(listenerspec.Document{}),
		cmpopts.IgnoreFields(listenerspec.Document{}, "Line", "Column")); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
}

// What the guide shows can be copied.
func TestTheGuidesExamplesAreValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../docs/listeners.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(text), "```yaml\n")[1:]
	for i, example := range examples {
		example, _, _ = strings.Cut(example, "```")
		f := listenerspec.Parse("example", []byte(example))
		if len(f.Problems)+len(f.Warnings) > 0 || len(f.Documents) == 0 {
			t.Errorf("example %d: %s%s", i+1, lines(f.Problems), lines(f.Warnings))
		}
	}
	if len(examples) < 2 {
		t.Errorf("%d examples", len(examples))
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	f := parse(t, "testdata/valid/list.json")
	if len(f.Problems) > 0 || len(f.Documents) != 1 || f.Documents[0].Config.Name != "json" {
		t.Errorf("%s %+v", lines(f.Problems), f.Documents)
	}
}

func TestVersionsDoNotDependOnSecrets(t *testing.T) {
	t.Parallel()
	version := func(change ...string) string {
		t.Helper()
		text, err := os.ReadFile("testdata/valid/full.yaml")
		if err != nil {
			t.Fatal(err)
		}
		f := listenerspec.Parse("x", []byte(strings.NewReplacer(change...).Replace(string(text))))
		if len(f.Problems) > 0 {
			t.Fatal(f.Problems)
		}
		d := f.Documents[0]
		d.Config.Verify.Secrets = []ingress.SecretConfig{{Value: "whatever"}}
		return d.Config.Version()
	}
	if a, b := version(), version("ORDERS_OLD", "ORDERS_NEW"); a != b {
		t.Errorf("%s and %s", a, b)
	}
	if a, b := version(), version("shop/order", "shop/orders"); a == b {
		t.Errorf("both %s", a)
	}
}
