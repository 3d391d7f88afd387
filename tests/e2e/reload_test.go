package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// Every program answers SIGHUP by reading again what may change, and nothing but INT and TERM ends it.
func TestSignalsReloadAndEndNothing(t *testing.T) {
	t.Parallel()
	nats := stack.StartNATS(t)
	const (
		policy = "users: {\"a@example.com\": [viewer]}\nroles: {viewer: {allow: {view: [\"**\"]}}}\n"
		routes = "routes:\n- {class: read_execution, route: \"GET reports/{execution}\"}\n"
	)
	for _, c := range []struct {
		program, part, setting string
		args                   []string
		good, better           string
		env                    []string
	}{
		{
			program: "auth", part: "policy", setting: "AUTH_POLICY_FILE", good: policy,
			better: policy + "resources: []\n",
			env: []string{
				"AUTH_BACKEND=local", "AUTH_ISSUERS=http://127.0.0.1:9/", "AUTH_AUDIENCES=a",
			},
		},
		{
			program: "edge-proxy", part: "routes", setting: "GATEWAY_ROUTES_FILE", good: routes,
			better: routes + "- {class: read_execution, route: \"GET lists/{execution}\"}\n",
		},
		{program: "event-fanout"},
		{program: "ingress", part: "listeners", setting: "INGRESS_LISTENERS_FILE", good: "", better: "# none\n"},
		{
			program: "noetl-gateway", args: []string{"dev"}, part: "routes", setting: "GATEWAY_ROUTES_FILE",
			good: routes, better: routes + "- {class: read_execution, route: \"GET lists/{execution}\"}\n",
			env: []string{"NATS_URL=", "GATEWAY_DATA_DIR=" + t.TempDir()},
		},
	} {
		t.Run(c.program, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			env := append([]string{
				"NATS_URL=" + nats.URL, "NOETL_BASE_URL=http://127.0.0.1:9", "NOETL_INTERNAL_API_TOKEN=t",
				"GATEWAY_EVENTS_URL=http://127.0.0.1:9", "GATEWAY_INGRESS_URL=http://127.0.0.1:9",
				"GATEWAY_CALLBACK_URL=http://127.0.0.1:9",
				"GATEWAY_CONFIG=" + write("gateway.toml", "[log]\nlevel = \"info\"\n"),
			}, c.env...)
			if c.program == "noetl-gateway" { // it has a NoETL of its own
				env = append(env, "NOETL_BASE_URL=")
			}
			if c.setting != "" {
				env = append(env, c.setting+"="+write("part.yaml", c.good))
			}
			p := stack.Start(t, c.program, c.args, env...)
			send := func(signals ...syscall.Signal) {
				for _, s := range signals {
					if err := syscall.Kill(p.PID(), s); err != nil {
						t.Fatal(err)
					}
				}
			}
			reloaded := func(what, line string, signals ...syscall.Signal) {
				t.Helper()
				before := len(p.Logs())
				send(signals...)
				testkit.Eventually(t, c.program+" "+what, func() bool {
					return strings.Contains(p.Logs()[before:], line)
				})
			}
			reloaded("ignores SIGUSR1", "is ignored", syscall.SIGUSR1)
			reloaded("ignores SIGUSR2", "is ignored", syscall.SIGUSR2)
			reloaded("reloads, however often it is told", "configuration reloaded", syscall.SIGHUP, syscall.SIGHUP,
				syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGHUP)
			write("gateway.toml", "[log]\nlevel = \"debug\"\n[nats]\nreplicas = 3\n")
			reloaded("takes the level", "log level info → debug", syscall.SIGHUP)
			reloaded("names what needs a restart", "needs_restart=nats.replicas", syscall.SIGHUP)
			write("gateway.toml", "[log\n")
			reloaded("keeps the level", "invalid=\"settings: ", syscall.SIGHUP)
			write("gateway.toml", "[log]\nlevel = \"info\"\n")
			reloaded("takes the level again", "log level debug → info", syscall.SIGHUP)
			if c.setting != "" {
				write("part.yaml", "users: [\n")
				reloaded("keeps its "+c.part, c.part+": ", syscall.SIGHUP)
				testkit.Eventually(t, "the file is named", func() bool {
					return strings.Contains(p.Logs(), "part.yaml")
				})
				write("part.yaml", c.better)
				reloaded("takes its "+c.part, "level=INFO msg=\"configuration reloaded\"", syscall.SIGHUP)
			}
			send(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGHUP)
			if code := p.Wait(t); code != 0 {
				t.Errorf("%s ended with %d", c.program, code)
			}
		})
	}
}
