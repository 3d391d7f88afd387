package contract_test

import (
	"flag"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/contract"
	"github.com/noetl/gateway/tests/stack"
)

// only runs the cases whose name contains a text: go test ./tests/contract -args -case 3-graphql
var only = flag.String("case", "", "run the golden files whose name contains this")

// Every golden file holds on one process and on two of each service. The cases of one set of
// settings share a gateway and run one after another, so that what NoETL is asked can be told.
func TestContract(t *testing.T) {
	t.Parallel()
	docs := contract.OpenDocs(t)
	worlds := map[string][]contract.Case{} // by their settings
	var processes []contract.Case
	for _, c := range contract.Load(t, "testdata") {
		switch {
		case !strings.Contains(c.Name, *only):
		case slices.ContainsFunc(c.Steps, func(s contract.Step) bool { return s.Verb == "start" }):
			processes = append(processes, c)
		default:
			key := strings.Join(c.Settings, " ")
			worlds[key] = append(worlds[key], c)
		}
	}
	t.Run("all", func(t *testing.T) { // ends when all of them have
		for settings, cases := range worlds {
			for _, split := range []bool{false, true} {
				name := map[bool]string{false: "standalone", true: "split"}[split]
				chosen := slices.DeleteFunc(
					slices.Clone(cases),
					func(c contract.Case) bool { return c.Only != "" && c.Only != name },
				)
				if len(chosen) == 0 {
					continue
				}
				if settings != "" {
					name += " with " + settings
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					w := contract.StartWorld(t, split, strings.Fields(settings)...)
					for _, c := range chosen {
						t.Run(c.Name, func(t *testing.T) { contract.Run(t, w, docs, c) })
					}
				})
			}
		}
		t.Run("processes", func(t *testing.T) {
			t.Parallel()
			for _, c := range processes {
				t.Run(c.Name, func(t *testing.T) { contract.Run(t, nil, docs, c) })
			}
		})
	})
	if testing.Verbose() {
		t.Logf("replies that were checked against openapi.yaml:\n%s", strings.Join(docs.Seen(), "\n"))
	}
}

// Settings keep their names (contract, section 12); `config` prints every setting of a program.
func TestSettingsKeepTheirNames(t *testing.T) {
	t.Parallel()
	table, err := exec.CommandContext(t.Context(), stack.Binary(t, "noetl-gateway"), "config").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(`
ROUTER_PORT GATEWAY_PORT GATEWAY_BIND GATEWAY_PUBLIC_URL NOETL_BASE_URL NOETL_TIMEOUT_SECS NOETL_INTERNAL_API_TOKEN
NATS_URL NATS_SESSION_BUCKET NATS_SESSION_CACHE_TTL_SECS NATS_REQUEST_BUCKET NATS_REQUEST_TTL_SECS
NATS_CALLBACK_SUBJECT_PREFIX NATS_UPDATES_SUBJECT_PREFIX GATEWAY_SSE_ENABLED GATEWAY_WS_ENABLED
GATEWAY_HEARTBEAT_INTERVAL_SECS GATEWAY_CONNECTION_TIMEOUT_SECS CORS_ALLOWED_ORIGINS CORS_ALLOW_CREDENTIALS
AUTH_PLAYBOOK_LOGIN AUTH_PLAYBOOK_VALIDATE_SESSION AUTH_PLAYBOOK_CHECK_ACCESS AUTH_PLAYBOOK_TIMEOUT_SECS
AUTH_SESSION_DB_CREDENTIAL GATEWAY_AUTH0_DOMAIN GATEWAY_AUTH0_CLIENT_ID GATEWAY_AUTH0_REDIRECT_URI
GATEWAY_AUTH0_AUDIENCE GATEWAY_AUTH_BYPASS LOG_FORMAT LOG_LEVEL AUTH_BACKEND AUTH_ISSUERS AUTH_AUDIENCES
AUTH_POLICY_FILE GATEWAY_INTERNAL_PORT GATEWAY_ADMIN_PORT GATEWAY_DATA_DIR SANDBOX_PORT`) {
		if !strings.Contains(string(table), "`"+name+"`") {
			t.Errorf("%s is not a setting any more", name)
		}
	}
}
