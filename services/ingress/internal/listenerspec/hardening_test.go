package listenerspec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

// A small text that aliases make large must not take memory, and a deep one no stack.
func TestAliasesAndDepthAreBounded(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		item := fmt.Sprintf("*a%d", i)
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(item+", ", 10), ", "))
	}
	in := func(spec string) string {
		return "kind: Subscription\nmetadata:\n  name: x\n" + spec
	}
	for name, text := range map[string]string{
		"bomb":  in("  labels: {" + strings.ReplaceAll(strings.TrimSpace(bomb), "\n", ", ") + "}\n"),
		"deep":  in("  labels: " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "\n"),
		"cycle": in("  labels: &a [*a]\n"),
		"merge": in("spec: &s {source: webhook}\nextra: {<<: *s}\n"),
	} {
		f := listenerspec.Parse("x", []byte(text))
		want := map[string]string{
			"bomb": "more than", "deep": "nested", "cycle": "nested", "merge": "extra is an unknown member",
		}[name]
		if !strings.Contains(lines(f.Problems), want) {
			t.Errorf("%s: %q", name, lines(f.Problems))
		}
	}
}

func TestAliasesStandForWhatTheyName(t *testing.T) {
	t.Parallel()
	f := listenerspec.Parse("x", []byte(`
kind: Subscription
metadata: {name: &name orders}
spec:
  source: webhook
  mode: push
  ingress: {gateway_path: /ingress/a, verify: &v {type: bearer, secret: {env: *name}}}
  dispatch: {playbook: *name}
`))
	if len(f.Problems) > 0 || f.Documents[0].Config.Playbook != "orders" || f.Documents[0].Secrets[0].Env != "orders" {
		t.Errorf("%s %+v", lines(f.Problems), f.Documents)
	}
}

// A secret that is printed by mistake, such as in a test's or a log's %v, stays one.
func TestASecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	s := listenerspec.Secret{Value: "hush"}
	if got := fmt.Sprintf("%v %s %+v", s, s, []listenerspec.Secret{s}); strings.Contains(got, "hush") {
		t.Error(got)
	}
}
