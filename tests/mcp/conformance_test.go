package mcp_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/tests/stack"
)

// Why a scenario is not scored.
const (
	noPrompts     = "the gateway has no prompts"
	noCompletion  = "there is nothing to complete: neither prompts nor templates with arguments"
	noInput       = "a playbook asks its caller nothing: no elicitation, sampling or roots"
	noFixed       = "resources are executions of the caller, not the fixed ones of the suite"
	noSubscribing = "resources are read, not subscribed to"
	noLogging     = "executions log at NoETL, not to the client"
	noNeed        = "no playbook needs a capability of its client"
)

// unscored names the scenarios of a revision that the gateway does not pass, and why; of some, one check only.
func unscored(revision string) map[string]string {
	list := map[string]string{
		"completion-complete": noCompletion, "resources-read-text": noFixed, "resources-read-binary": noFixed,
		"resources-templates-read": noFixed,
		"prompts-list":             noPrompts, "prompts-get-simple": noPrompts, "prompts-get-with-args": noPrompts,
		"prompts-get-embedded-resource": noPrompts, "prompts-get-with-image": noPrompts,
	}
	if revision == "2025-11-25" {
		maps.Copy(list, map[string]string{
			"logging-set-level": noLogging, "tools-call-with-logging": noLogging,
			"tools-call-sampling": noInput, "tools-call-elicitation": noInput,
			"elicitation-sep1034-defaults": noInput, "elicitation-sep1330-enums": noInput,
			"resources-subscribe": noSubscribing, "resources-unsubscribe": noSubscribing,
		})
		return list
	}
	maps.Copy(list, map[string]string{
		"server-stateless/sep-2575-server-rejects-undeclared-capability": noNeed,
		"server-stateless/sep-2575-missing-capability-http-400":          noNeed,
		"caching/sep-2549-prompts-list-caching-hints":                    noPrompts,
	})
	for _, name := range []string{
		"basic-elicitation", "basic-sampling", "basic-list-roots", "request-state", "multiple-input-requests",
		"multi-round", "non-tool-request", "result-type", "tampered-state", "capability-check",
	} {
		list["input-required-result-"+name] = noInput
	}
	return list
}

// vacuous are scenarios that any server passes, also one that answers nothing but 404. They are required, and show
// nothing.
func vacuous() []string {
	return []string{
		"input-required-result-missing-input-response", "input-required-result-ignore-extra-params",
		"input-required-result-validate-input",
	}
}

// scenario is what the suite found.
type scenario struct {
	Failed []check
	Passed int
}

// check is one of a scenario that failed.
type check struct{ ID, Why string }

// TestConformance runs the suite's server scenarios of both revisions. All that a revision requires pass, but the
// ones that are named above, and none of those does.
func TestConformance(t *testing.T) {
	t.Parallel()
	// Some scenarios take the first tool that there is: none that takes a minute.
	w := start(t, "SANDBOX_CONFORMANCE=true", "GATEWAY_MCP_TOOLS=*")
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			found := conformance(t, authorized(t, w), revision, "30000")
			required, optional := requirements(t, revision)
			left := unscored(revision)
			passed := 0
			for _, name := range required {
				s, ran := found[name]
				why, excused := left[name]
				delete(left, name)
				failed := slices.DeleteFunc(s.Failed, func(c check) bool {
					_, excused := left[name+"/"+c.ID]
					delete(left, name+"/"+c.ID)
					return excused
				})
				switch ok := ran && len(failed) == 0; {
				case ok && excused:
					t.Errorf("%s passes: take it off the list (%s)", name, why)
				case ok && !slices.Contains(vacuous(), name):
					passed++
				case ok:
				case !ran:
					t.Errorf("%s did not run", name)
				case !excused:
					t.Errorf("%s: %+v", name, failed)
				}
			}
			for name := range left {
				t.Errorf("%s is on the list, and it passes, or revision %s does not require it", name, revision)
			}
			t.Logf("%d of %d required scenarios pass and say something", passed, len(required))
			for _, name := range optional {
				t.Logf("not required: %s: %d passed, failed: %+v", name, found[name].Passed, found[name].Failed)
			}
		})
	}
}

// authorized is an address that adds a token to each request: the suite cannot. A Host or Origin that names it
// becomes the gateway's; any other passes as it is.
func authorized(t *testing.T, w world) string {
	t.Helper()
	target, err := url.Parse(w.public)
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, demo)
	var own string
	srv := httptest.NewServer(stack.FullDuplex(&httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     &http.Transport{}, // the default one loses its connections when any httptest.Server ends
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = strings.Replace(r.In.Host, own, target.Host, 1)
			if origin := r.In.Header.Get("Origin"); origin != "" {
				r.Out.Header.Set("Origin", strings.Replace(origin, own, target.Host, 1))
			}
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	own = strings.TrimPrefix(srv.URL, "http://")
	return srv.URL + "/mcp"
}

var runFolder = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

// conformance runs the suite and reads what it left; the timeout is that of a scenario, in milliseconds.
func conformance(t *testing.T, target, revision, timeout string) map[string]scenario {
	t.Helper()
	out := t.TempDir()
	suite := filepath.Join("node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
	cmd := command(t, suite, "server", "--url", target, "--requirements", revision, "-o", out, "--timeout", timeout)
	text, err := cmd.CombinedOutput() // it fails when a scenario does; what counts is read below
	runs, _ := os.ReadDir(out)        // likewise
	if len(runs) == 0 {
		t.Fatalf("the suite did not run: %v\n%s", err, text)
	}
	found := map[string]scenario{}
	for _, run := range runs {
		name := runFolder.FindStringSubmatch(run.Name())
		if name == nil {
			t.Fatalf("%s is no result of a scenario", run.Name())
		}
		found[name[1]] = checks(t, filepath.Join(out, run.Name(), "checks.json"))
	}
	return found
}

func checks(t *testing.T, path string) (s scenario) {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return scenario{Failed: []check{{"run", "it ended without a result"}}}
	}
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ ID, Status, ErrorMessage string }
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		t.Fatalf("%s: %v %s", path, err, text)
	}
	for _, c := range list {
		switch c.Status {
		case "FAILURE":
			s.Failed = append(s.Failed, check{c.ID, c.ErrorMessage})
		case "SUCCESS":
			s.Passed++
		}
	}
	return s
}

// requirements reads what a revision requires of a server, and what else the suite runs.
func requirements(t *testing.T, revision string) (required, optional []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(
		clients(), "node_modules", "@modelcontextprotocol", "conformance", "requirements", revision+".yaml",
	))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Server    []string
		NotScored []struct{ Scenario, Leg string } `yaml:"not_scored"`
	}
	if err := yaml.Unmarshal(text, &list); err != nil || len(list.Server) < 20 {
		t.Fatalf("the requirements of %s: %v, %d scenarios", revision, err, len(list.Server))
	}
	for _, s := range list.NotScored {
		if s.Leg == "server" {
			optional = append(optional, s.Scenario)
		}
	}
	slices.Sort(optional)
	return list.Server, optional
}

// TestTheSuiteIsReadRight runs the suite against what is no MCP server: all must be seen to fail that can.
func TestTheSuiteIsReadRight(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	found := conformance(t, srv.URL+"/mcp", "2026-07-28", "500")
	required, _ := requirements(t, "2026-07-28")
	for _, name := range required {
		s, ran := found[name]
		if fails := len(s.Failed) > 0; !ran || fails == slices.Contains(vacuous(), name) {
			t.Errorf("%s: ran %v, %+v", name, ran, s)
		}
	}
}
