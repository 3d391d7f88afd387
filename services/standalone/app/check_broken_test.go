package app_test

import (
	"fmt"
	"strings"
	"testing"
)

// What a start does with a configuration.
const (
	refuses = "refuses"
	serves  = "serves"
	waits   = "waits for NATS"
)

type broken struct {
	name  string
	env   []string          // on top of a configuration that is right
	files map[string]string // by name, in the folder DIR
	start string
}

// brokenConfigurations are what people get wrong. DIR is a folder, PORT one that somebody else listens on.
func brokenConfigurations() []broken {
	const listener = "kind: Subscription\nmetadata: {path: orders}\nspec:\n  source: webhok\n"
	return []broken{
		{"a port that is none", []string{"GATEWAY_ADMIN_PORT=99999"}, nil, refuses},
		{"a setting that does not exist", []string{"GATEWAY_MAX_BODY_BYTE=1"}, nil, refuses},
		{"several problems", []string{
			"ROUTER_PORT=eighty", "LOG_LEVEL=loud", "AUTH_SESSION_MAX_HOURS=0", "AUTH_POLICY_FILE=DIR/none.yaml",
		}, nil, refuses},
		{"bad TOML", []string{"GATEWAY_CONFIG=DIR/broken.toml"}, map[string]string{
			"broken.toml": "[server]\nport = 8090\nbind = 127.0.0.1\n",
		}, refuses},
		{"bad YAML", []string{"GATEWAY_CONFIG=DIR/broken.yaml"}, map[string]string{
			"broken.yaml": "server:\n  port: 8090\n  bind: [127.0.0.1\n",
		}, refuses},
		{"values of a TOML file", []string{"GATEWAY_CONFIG=DIR/values.toml"}, map[string]string{
			"values.toml": "[log]\nlevel = \"info\"\n\n[transport]\nqueue_frames = \"many\"\nframes = 2\n\n" +
				"[nats]\nreplicas = 9\nlifecycle_ttl_secs = 1\n",
		}, refuses},
		{"values of a YAML file", []string{"GATEWAY_CONFIG=DIR/values.yaml"}, map[string]string{
			"values.yaml": "transport:\n  queue_frames: many\nnats:\n  replicas: 9\n  user: x\n  pasword: hunter2\n",
		}, refuses},
		{"a policy that cannot be read", []string{"AUTH_POLICY_FILE=DIR/none.yaml"}, nil, refuses},
		{"a policy with an error", []string{"AUTH_POLICY_FILE=DIR/bad.yaml"}, map[string]string{
			"bad.yaml": "users: {}\nrole:\n  admin: {}\n",
		}, refuses},
		{"a routes file with an error", []string{"GATEWAY_ROUTES_FILE=DIR/routes.yaml"}, map[string]string{
			"routes.yaml": "routes:\n  - {class: none, route: GET reports}\n",
		}, refuses},
		{"a listener file with an error", []string{"INGRESS_LISTENERS_FILE=DIR/orders.yaml"}, map[string]string{
			"orders.yaml": listener,
		}, serves},
		{"a certificate without its key", []string{"GATEWAY_TLS_CERT_FILE=DIR/good.pem"}, nil, refuses},
		{"the key of another certificate", []string{
			"GATEWAY_TLS_CERT_FILE=DIR/good.pem", "GATEWAY_TLS_KEY_FILE=DIR/old-key.pem",
		}, nil, refuses},
		{"a certificate that has expired", []string{
			"GATEWAY_TLS_CERT_FILE=DIR/old.pem", "GATEWAY_TLS_KEY_FILE=DIR/old-key.pem",
		}, nil, serves},
		{"an issuer without TLS", []string{"AUTH_ISSUERS=http://login.example.com/"}, nil, refuses},
		{"an issuer of another name", []string{"AUTH_ISSUERS=ISSUER"}, nil, serves},
		{"no NATS", []string{"NATS_URL=nats://ops:hunter2@127.0.0.1:1"}, nil, waits},
		{"credentials for NATS that cannot be read", []string{
			"NATS_URL=nats://127.0.0.1:1", "NATS_CREDS=DIR/none.creds",
		}, nil, refuses},
		{"a NATS_URL that is none", []string{"NATS_URL=nats://a b:1"}, nil, refuses},
		{"a NATS_URL of another scheme", []string{"NATS_URL=http://127.0.0.1:4222"}, nil, refuses},
		{"a NATS_URL with a port that is none", []string{"NATS_URL=nats://127.0.0.1:99999"}, nil, refuses},
		{"replicas without a cluster", []string{"GATEWAY_NATS_REPLICAS=3"}, nil, refuses},
		{"a store that is larger than the disk", []string{"GATEWAY_STORE_MAX_BYTES=9000000000000000000"}, nil, refuses},
		{"frames and a store that are larger than any number", []string{
			"GATEWAY_STORE_MAX_BYTES=9000000000000000000", "GATEWAY_FRAME_MAX_BYTES=9000000000000000000",
		}, nil, refuses},
		{"an address of another machine", []string{"GATEWAY_BIND=203.0.113.7"}, nil, refuses},
		{"an address of another machine for operators", []string{"GATEWAY_OPERATOR_BIND=203.0.113.7"}, nil, refuses},
		{"a port that is none for the public", []string{"ROUTER_PORT=70000"}, nil, refuses},
		{"a user in the URL of NoETL", []string{"NOETL_BASE_URL=http://u@127.0.0.1:1"}, nil, refuses},
		{"a feed that has no port", []string{"NOETL_EVENT_FEED_ADDR=nonsense"}, nil, refuses},
		{"no NoETL", []string{"NOETL_BASE_URL=http://127.0.0.1:1"}, nil, serves},
		{"a port that is taken", []string{"ROUTER_PORT=PORT"}, nil, refuses},
		{"two listeners on one port", []string{"ROUTER_PORT=FREE", "GATEWAY_OPERATOR_PORT=FREE"}, nil, refuses},
		{"a data folder that cannot be written", []string{"GATEWAY_DATA_DIR=DIR/good.pem/data"}, nil, refuses},
		{"settings that contradict each other", []string{
			"AUTH_BACKEND_LOGIN=playbook", "GATEWAY_AUTH_BYPASS=on", "INGRESS_BODIES_MAX_BYTES=1",
		}, nil, refuses},
		{"a profiler for everybody", []string{"GATEWAY_PPROF=true", "GATEWAY_ADMIN_BIND=0.0.0.0"}, nil, refuses},
	}
}

// What check says of each, what config --effective says of it, and that a start refuses what it must.
func TestBrokenConfigurations(t *testing.T) {
	w := newCheckWorld(t)
	list := brokenConfigurations()
	said, environs, starts := make([]string, len(list)), make([][]string, len(list)), make([]string, len(list))
	for i, b := range list {
		t.Run(b.name, func(t *testing.T) {
			environs[i] = w.environ(t, b)
			for _, kv := range environs[i] {
				name, value, _ := strings.Cut(kv, "=")
				t.Setenv(name, value)
			}
			out, errs, code := mainOf("check")
			if code != 1 {
				t.Errorf("check: exit code %d\n%s%s", code, out, errs)
			}
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "FAIL") {
					said[i] += w.plain(line)
				}
			}
			_, errs, code = mainOf("config", "--effective")
			switch {
			case b.start == refuses && code != 1:
				t.Errorf("config --effective: exit code %d: %s", code, errs)
			case code == 0:
				errs = "nothing is wrong without the network\n"
			}
			said[i] += "config --effective: " + w.plain(errs)
		})
	}
	t.Run("starts", func(t *testing.T) {
		for i, b := range list {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				started, why := startOf(t, environs[i])
				if started != b.start {
					t.Errorf("a start %s, want %s: %s", started, b.start, why)
				}
				starts[i] = "a start " + started + w.plain(why) + "\n"
			})
		}
	})
	var got strings.Builder
	for i, b := range list {
		fmt.Fprintf(&got, "# %s: %s\n%s%s\n", b.name, strings.Join(b.env, " "), said[i], starts[i])
	}
	if strings.Count(got.String(), "hunter2") != 1 { // the one that the table names
		t.Error("a password is printed")
	}
	golden(t, "broken.golden", got.String())
}
