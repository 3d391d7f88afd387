package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// commandLine is NoETL's command line as one person uses it: with a home folder of their own.
type commandLine struct{ home, public string }

// newCommandLine has a context that leads to a gateway.
func newCommandLine(t *testing.T, public string) commandLine {
	t.Helper()
	c := commandLine{t.TempDir(), public}
	c.run(t, "context", "init", "gw", "--from-gateway", public, "--yes", "--set-current").
		want(t, 0, "Context 'gw' is now the current context.")
	return c
}

// printed is what a command printed, and its exit code.
type printed struct {
	command string
	code    int
	out     string // standard output
	text    string // that, then standard error, without colors
}

// colors are the escape sequences that it prints to a pipe too.
var colors = regexp.MustCompile("\x1b\\[[0-9;]*m")

// run runs a command to its end.
func (c commandLine) run(t *testing.T, args ...string) printed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, noetlProgram(), args...)
	cmd.Dir, cmd.Env = c.home, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("noetl %s: %v\n%s%s", args, err, out, &errs)
	}
	return printed{
		"noetl " + strings.Join(args, " "), cmd.ProcessState.ExitCode(), string(out),
		colors.ReplaceAllString(string(out)+errs.String(), ""),
	}
}

// gateway runs a command whose calls go to the gateway's routes.
func (c commandLine) gateway(t *testing.T, args ...string) printed {
	t.Helper()
	return c.run(t, append([]string{"--gateway"}, args...)...)
}

// want wants an exit code and texts in what was printed.
func (p printed) want(t *testing.T, code int, texts ...string) printed {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.text, text) {
			t.Fatalf("%s exits with %d; want %d and %q in\n%s", p.command, p.code, code, text, p.text)
		}
	}
	if p.code != code {
		t.Fatalf("%s exits with %d; want %d\n%s", p.command, p.code, code, p.text)
	}
	return p
}

// fromJSON reads what a command with --json printed.
func fromJSON[T any](t *testing.T, p printed) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(p.out), &v); err != nil {
		t.Fatalf("%s: %v in\n%s", p.command, err, p.text)
	}
	return v
}

// logIn logs a sandbox account in with a signed token of its issuer.
func (c commandLine) logIn(t *testing.T, issuer string) {
	t.Helper()
	p := c.run(t, "auth", "login", "--auth0-token", stack.IDToken(t, issuer, "developer@example.com"))
	session := c.saved(t).Session
	p.want(t, 0, "Gateway login successful.", "developer@example.com", "context 'gw'", session)
	if session == "" {
		t.Fatalf("%s saves no session\n%s", p.command, p.text)
	}
}

// savedContext is what the command line keeps in its file.
type savedContext struct {
	Server   string `yaml:"server_url"`
	Session  string `yaml:"gateway_session_token"`
	Domain   string `yaml:"gateway_auth0_domain"`
	ClientID string `yaml:"gateway_auth0_client_id"`
	Redirect string `yaml:"gateway_auth0_redirect_uri"`
	Audience string `yaml:"gateway_auth0_audience"`
}

func (c commandLine) saved(t *testing.T) savedContext {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.home, ".noetl", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Contexts map[string]savedContext }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return file.Contexts["gw"]
}

// file writes a file and returns its path.
func (c commandLine) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(c.home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// execute starts a playbook and returns the id of its execution.
func (c commandLine) execute(t *testing.T, path, input string) string {
	t.Helper()
	p := c.gateway(t, "execute", "playbook", path, "--input", c.file(t, "input.json", input), "--json").want(t, 0)
	id := fromJSON[struct {
		ID string `json:"execution_id"`
	}](t, p).ID
	if id == "" {
		t.Fatalf("%s: no id in\n%s", p.command, p.text)
	}
	return id
}

// executionStatus is what is asked of either shape of a status: Python's has no word, Rust's nothing else.
type executionStatus struct {
	ID          json.Number `json:"execution_id"` // a string, or a number
	Status      string
	Completed   bool
	Failed      bool
	IsCancelled bool `json:"is_cancelled"`
}

// status asks how an execution is doing.
func (c commandLine) status(t *testing.T, id string) executionStatus {
	t.Helper()
	s := fromJSON[executionStatus](t, c.gateway(t, "status", id, "--json").want(t, 0))
	if s.ID.String() != id {
		t.Fatalf("the status of %s is of %s", id, s.ID)
	}
	return s
}

// hasEnded wants an execution to have ended in one of two ways: Rust has a word for each, Python has none
// for the second.
func (c commandLine) hasEnded(t *testing.T, generation, id, word string) {
	t.Helper()
	var s executionStatus
	testkit.Eventually(t, id+" has ended", func() bool {
		s = c.status(t, id)
		return s.Completed || s.Status != "" && s.Status != "RUNNING"
	})
	if s.Failed || generation == "python" && !s.Completed ||
		generation != "python" && (s.Status != word || s.IsCancelled != (word == "CANCELLED")) {
		t.Errorf("%s is %+v, want %s", id, s, word)
	}
	// Of a Rust server's answer this version prints RUNNING, whatever it says; --json shows what it says.
	if printed := c.gateway(t, "status", id).want(t, 0, "Execution: "+id); generation == "python" {
		printed.want(t, 0, "Status:    COMPLETED")
	}
}

const ownPlaybook = `apiVersion: noetl.io/v2
kind: Playbook
metadata: {name: own, path: cli/own}
workflow:
- step: start
  tool: {kind: python, code: "result = {}"}
`

// A person logs in, looks around, registers a playbook, starts one, watches it, cancels it, and is logged out.
func TestCLIOnEveryGeneration(t *testing.T) {
	needCLI(t)
	t.Parallel()
	for _, generation := range stack.Generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t, stack.Generation(generation))
			c := newCommandLine(t, p.Ready.Public)
			c.logIn(t, p.Ready.Issuer)
			c.runPlaybooks(t, generation)
			c.endSession(t, p.Ready.Issuer)
		})
	}
}

func (c commandLine) runPlaybooks(t *testing.T, generation string) {
	t.Helper()
	c.gateway(t, "catalog", "register", c.file(t, "own.yaml", ownPlaybook)).
		want(t, 0, "Playbook registered successfully", `"path":"cli/own"`, `"status":"success"`, `"version":1`)
	paths := c.catalog(t)
	for _, path := range []string{"demo/echo", "demo/slow", "cli/own"} {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is not in the catalog: %v", path, paths)
		}
	}
	c.hasEnded(t, generation, c.execute(t, "cli/own", `{"n":1}`), "COMPLETED")

	slow := c.execute(t, "demo/slow", `{"seconds":60}`)
	testkit.Eventually(t, "demo/slow runs", func() bool {
		s := c.status(t, slow)
		return s.Status == "RUNNING" || generation == "python" && !s.Completed
	})
	c.gateway(t, "status", slow).want(t, 0, "Execution: "+slow, "Status:    RUNNING")
	c.gateway(t, "cancel", slow, "--reason", "enough", "--cascade").
		want(t, 0, "Execution: "+slow, "Status:    CANCELLED", "Reason:    enough")
	c.hasEnded(t, generation, slow, "CANCELLED")
	c.gateway(t, "execute", "playbook", "cli/none", "--json").want(t, 1, "404 Not Found", "cli/none")
}

func (c commandLine) catalog(t *testing.T) []string {
	t.Helper()
	p := c.gateway(t, "catalog", "list", "Playbook", "--json").want(t, 0)
	list := fromJSON[struct{ Entries []struct{ Path string } }](t, p)
	paths := make([]string, len(list.Entries))
	for i, e := range list.Entries {
		paths[i] = e.Path
	}
	return paths
}

// Exit code 77 is for a session that has ended, and nothing else: it makes a script log in again.
const sessionEnded = 77

// calls are the commands that tell an ended session by their exit code.
func (c commandLine) calls(t *testing.T) [][]string {
	t.Helper()
	return [][]string{
		{"catalog", "list", "Playbook", "--json"},
		{"catalog", "register", c.file(t, "own.yaml", ownPlaybook)},
		{"execute", "playbook", "demo/echo", "--json"},
	}
}

func (c commandLine) endSession(t *testing.T, issuer string) {
	t.Helper()
	session := c.saved(t).Session
	a := testkit.Do(t, http.MethodPost, c.public+"/api/auth/logout", nil, "Authorization", "Bearer "+session)
	if a.Code != http.StatusNoContent {
		t.Fatalf("logout: %d %s", a.Code, a.Body)
	}
	for _, args := range c.calls(t) {
		c.gateway(t, args...).want(t, sessionEnded, "session token expired (HTTP 401)", "Run: noetl auth login")
	}
	c.gateway(t, "status", "1").want(t, 0, "401 Unauthorized", "log in again") // says it, and has no code for it
	c.logIn(t, issuer)
	if now := c.saved(t).Session; now == session {
		t.Error("the next login brings the session that has ended")
	}
	c.catalog(t)
}

// While nobody can tell whether a session is good, its holder is not told to log in again.
func TestCLIKeepsItsSessionThroughAnOutage(t *testing.T) {
	needCLI(t)
	t.Parallel()
	for _, generation := range stack.Generations() {
		for _, backend := range []string{"playbook", "sync"} {
			t.Run(generation+" "+backend, func(t *testing.T) {
				t.Parallel()
				// Nothing remembers the session for long, so each call has NoETL asked.
				p := stack.Standalone(t, stack.Generation(generation), "AUTH_BACKEND_VALIDATE="+backend,
					"GATEWAY_SESSION_NEAR_TTL_SECS=0", "GATEWAY_SESSION_GRACE_SECS=0", "NATS_SESSION_CACHE_TTL_SECS=1",
					"AUTH_PLAYBOOK_TIMEOUT_SECS=2")
				c := newCommandLine(t, p.Ready.Public)
				c.logIn(t, p.Ready.Issuer)
				for _, fault := range []string{`{"mode":"error"}`, `{"mode":"garbage"}`, `{"mode":"database"}`} {
					c.outage(t, p, fault, c.calls(t)...)
				}
				c.outage(
					t, p, `{"mode":"slow","delay_ms":9000}`, []string{"execute", "playbook", "demo/echo", "--json"},
				)
			})
		}
	}
}

func (c commandLine) outage(t *testing.T, p *stack.Proc, fault string, calls ...[]string) {
	t.Helper()
	before := c.saved(t)
	testkit.Do(t, http.MethodPut, p.Ready.NoETL+"/sandbox/faults", fault)
	testkit.Eventually(t, "the session is not remembered", func() bool {
		a := testkit.Do(t, http.MethodGet, c.public+"/api/results/none", nil, "Authorization", "Bearer "+before.Session)
		return a.Code == http.StatusUnauthorized || a.Code >= http.StatusInternalServerError
	})
	for _, args := range calls {
		said := c.gateway(t, args...)
		if said.code == sessionEnded || !outageSaid.MatchString(said.text) || strings.Contains(said.text, "expired") {
			t.Errorf("NoETL %s: %s exits with %d\n%s", fault, said.command, said.code, said.text)
		}
	}
	testkit.Do(t, http.MethodPut, p.Ready.NoETL+"/sandbox/faults", `{"mode":""}`)
	if after := c.saved(t); after != before {
		t.Errorf("NoETL %s: the context was %+v, is %+v", fault, before, after)
	}
	c.catalog(t)
}

// outageSaid is how a command tells what the gateway answers while auth cannot tell.
var outageSaid = regexp.MustCompile(`Failed to .*: 50[234] .* - \{"error":".*","code":"`)

// What the gateway publishes about Auth0 is what a context needs to log in with a browser.
func TestCLIContextHasWhatTheGatewayPublishes(t *testing.T) {
	needCLI(t)
	t.Parallel()
	rest := []string{
		"GATEWAY_AUTH0_CLIENT_ID=client-of-the-page", "GATEWAY_AUTH0_REDIRECT_URI=https://app.example.com/login",
		"GATEWAY_AUTH0_AUDIENCE=https://api.example.com",
		// Nobody is asked for the keys of that domain.
		"AUTH_ISSUER_CONNECT_TO=tenant.auth0.test:443=127.0.0.1:1", "GATEWAY_ENV=development",
	}
	for name, domain := range map[string]string{"with a domain": "tenant.auth0.test", "without": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t, append(rest, "GATEWAY_AUTH0_DOMAIN="+domain)...)
			c := newCommandLine(t, p.Ready.Public+"/")
			want := savedContext{Server: p.Ready.Public}
			if domain != "" {
				want = savedContext{
					p.Ready.Public,
					"",
					domain,
					"client-of-the-page",
					"https://app.example.com/login",
					"https://api.example.com",
				}
			}
			if got := c.saved(t); got != want {
				t.Errorf("the context is %+v, want %+v", got, want)
			}
		})
	}
}
