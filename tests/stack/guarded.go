package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// Users are the NATS users of deployments/nats/accounts.conf.
var Users = []string{"auth", "edge-proxy", "event-fanout", "ingress", "noetl", "admin", "sys"}

// Password returns the password of a NATS user in the tests.
func Password(user string) string { return "test-password-of-" + user }

// StartGuardedNATS starts a server with the users and permissions of deployments/nats. The test
// fails when a user did what it may not do: what a service needs and what it is allowed must be
// the same. TolerateViolations is for tests that try on purpose.
func StartGuardedNATS(tb testing.TB) *NATS {
	tb.Helper()
	port := freePort(tb)
	config := filepath.Join(tb.TempDir(), "nats.conf")
	text := fmt.Sprintf(
		"listen: 127.0.0.1:%d\njetstream { store_dir: %q }\ninclude accounts.conf\n", port, tb.TempDir(),
	)
	for name, content := range map[string]string{
		config: text,
		filepath.Join(filepath.Dir(config), "accounts.conf"): read(tb, "deployments/nats/accounts.conf"),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	n := &NATS{URL: fmt.Sprintf("nats://127.0.0.1:%d", port), args: []string{"-c", config}, user: "admin"}
	for _, user := range Users {
		n.env = append(n.env, "NATS_"+strings.ToUpper(strings.ReplaceAll(user, "-", "_"))+"_PASSWORD="+Password(user))
	}
	tb.Cleanup(func() {
		for line := range strings.Lines(n.history + n.Logs()) {
			if strings.Contains(line, "Violation") && !n.tolerant {
				tb.Errorf("NATS: %s", strings.TrimSpace(line))
			}
		}
	})
	n.Restart(tb)
	return n
}

// TolerateViolations keeps the test from failing when a user tries what it may not do.
func (n *NATS) TolerateViolations() { n.tolerant = true }

// Dial connects as a user of [Users], with the inbox that its service has.
func (n *NATS) Dial(tb testing.TB, user string, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(
		n.URL,
		append(
			[]nats.Option{
				nats.UserInfo(user, Password(user)),
				nats.CustomInboxPrefix("_INBOX_GATEWAY.gateway-" + user),
			},
			opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(Root(), path))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
