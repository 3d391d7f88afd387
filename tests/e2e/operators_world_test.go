package e2e_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// operators is a gateway with listener files, and who runs it.
type operators struct {
	t              *testing.T
	p              *stack.Proc
	public, folder string
	token          string
}

// listener is the text of a listener file.
func listener(name, playbook, verify string) string {
	return "kind: Subscription\nmetadata: {name: " + name + "}\nspec:\n  source: webhook\n  mode: push\n" +
		"  ingress:\n    gateway_path: /ingress/" + name + "\n    verify: " + verify + "\n" +
		"  dispatch: {playbook: " + playbook + "}\n"
}

// newOperators starts the gateway; files are texts by name.
func newOperators(t *testing.T, port string, files map[string]string) operators {
	t.Helper()
	o := operators{t: t, folder: t.TempDir()}
	for name, text := range files {
		o.write(name, text)
	}
	o.p = stack.Standalone(t, "INGRESS_LISTENERS_FILE="+o.folder, "ROUTER_PORT="+port,
		"INGRESS_RATE_LISTENER_PER_MIN=10000000")
	o.public = o.p.Ready.Public
	o.token = stack.Login(t, o.public, o.p.Ready.Issuer, "admin@example.com")
	return o
}

// write replaces a file of the folder as deployments do: by renaming.
func (o operators) write(name, text string) {
	o.t.Helper()
	path := filepath.Join(o.folder, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		o.t.Fatal(err)
	}
}

// file writes a file outside the folder of the listeners and returns its path.
func (o operators) file(text string) string {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// command is noetl-gateway with the operator's token.
func (o operators) command(args ...string) *exec.Cmd {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), stack.Binary(o.t, "noetl-gateway"), args...)
	cmd.Env = []string{"GATEWAY_URL=" + o.public, "GATEWAY_TOKEN=" + o.token}
	return cmd
}

// run runs a verb to its end. Its output never holds the token.
func (o operators) run(args ...string) (out, errs string, code int) {
	o.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := o.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.t.Fatal(err)
	}
	out, errs = stdout.String(), stderr.String()
	if strings.Contains(out+errs, o.token) {
		o.t.Errorf("%q prints the token", args)
	}
	return out, errs, cmd.ProcessState.ExitCode()
}

// must runs a verb that succeeds and returns what it prints.
func (o operators) must(args ...string) string {
	o.t.Helper()
	out, errs, code := o.run(args...)
	if code != 0 || errs != "" {
		o.t.Fatalf("%q ends with %d: %s%s", args, code, out, errs)
	}
	return out
}

// api calls the operators' API.
func (o operators) api(method, path string, body any) testkit.Answer {
	o.t.Helper()
	return testkit.Do(o.t, method, o.public+"/api/ingress/"+path, body, "Authorization", "Bearer "+o.token)
}

// bearer delivers to a listener of that type.
func (o operators) bearer(name, secret, id, body string) testkit.Answer {
	o.t.Helper()
	return testkit.Do(o.t, http.MethodPost, o.public+"/ingress/"+name, body,
		"Authorization", "Bearer "+secret, "X-Message-Id", id)
}

// becomes waits until a delivery has a state.
func (o operators) becomes(id, state string) {
	o.t.Helper()
	testkit.Eventually(o.t, id+" becomes "+state, func() bool {
		return strings.Contains(o.api(http.MethodGet, "deliveries/"+id, nil).Body, `"state":"`+state+`"`)
	})
}

// stable replaces what differs from run to run.
func (o operators) stable(text string) string {
	text = strings.NewReplacer(o.public, "PUBLIC", o.folder, "FOLDER").Replace(text)
	for _, c := range []struct{ pattern, with string }{
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b`, "ID"},
		{`\b[0-9a-f]{64}\b`, "SHA256"},
		{`\b[0-9a-f]{16}\b`, "VERSION"},
		{`\b[0-9]{17,20}\b`, "EXECUTION"},
		{`\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`, "TIME"},
		{`\b[0-9]+\.[0-9]{3} s\b`, "SECONDS s"},
		{`"(seconds|oldest_waiting_seconds)":[0-9.e-]+`, `"$1":0`},
		{`in [0-9]+ ms`, "in MS ms"},
		{`cursor [0-9-]+`, "cursor CURSOR"},
		{`   +`, "  "},
		{` +\n`, "\n"},
		{`/\S+/file\b`, "FILE"},
	} {
		text = regexp.MustCompile(c.pattern).ReplaceAllString(text, c.with)
	}
	return text
}
