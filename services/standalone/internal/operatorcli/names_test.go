package operatorcli_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

// An empty id or a dot would name the list, or what is above it: nothing is asked then, and nothing is changed.
func TestWhatIsNoNameIsWrongUsage(t *testing.T) {
	t.Parallel()
	url, asked := operators(t)
	cfg := operatorcli.Config{URL: url, Token: token}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sessions", "show", ""}, `"" is no ID`},
		{[]string{"sessions", "show", "."}, `"." is no ID`},
		{[]string{"sessions", "revoke", ""}, `"" is no ID`},
		{[]string{"requests", "show", ".."}, `".." is no ID`},
		{[]string{"requests", "show", "a/../b"}, `"a/../b" is no ID`},
		{[]string{"streams", "close", ""}, `"" is no CLIENT_ID`},
		{[]string{"subscriptions", "close", "."}, `"." is no ID`},
		{[]string{"deliveries", "show", ""}, `"" is no ID`},
		{[]string{"deliveries", "redrive", "d1", ""}, `"" is no ID`},
		{[]string{"deliveries", "redrive", "--listener", ".."}, `".." is no listener`},
		{[]string{"deliveries", "discard", "d1", "."}, `"." is no ID`},
		{[]string{"listeners", "pause", "."}, `"." is no NAME`},
		{[]string{"sessions", "list", "--limit", "0"}, "--limit must be 1 to 1000"},
		{[]string{"streams", "list", "--all", "--limit", "-1"}, "--limit must be 1 to 1000"},
		{[]string{"requests", "list", "--limit", "1001"}, "--limit must be 1 to 1000"},
		{[]string{"deliveries", "list", "--limit", "0"}, "--limit must be 1 to 200"},
		{[]string{"deliveries", "list", "--limit", "201"}, "--limit must be 1 to 200"},
	} {
		_, err := verbs(cfg, c.args...)
		if err == nil || !strings.HasPrefix(err.Error(), "2 ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
	if got := asked(); got != "" {
		t.Errorf("the gateway was asked\n%s", got)
	}
}

// The log lines name programs, and the API the services in them: both are taken.
func TestLevelsAreSetByTheNamesInTheLog(t *testing.T) {
	t.Parallel()
	url, asked := operators(t)
	cfg := operatorcli.Config{URL: url, Token: token}
	for _, name := range []string{"edge-proxy", "event-fanout", "ingress"} {
		if _, err := verbs(cfg, "log-level", "set", name, "debug"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, want := range []string{`{"service":"edge",`, `{"service":"fanout",`, `{"service":"ingress",`} {
		if !strings.Contains(asked(), want) {
			t.Errorf("%s is not in\n%s", want, asked())
		}
	}
}
