// Package sdkpython_test runs the client library for Python (libs/client-python) against the gateway.
package sdkpython_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// patience is how long a scenario may take on a busy machine.
const patience = 4 * time.Minute

// said is a line of a scenario.
type said map[string]any

// scenario is a running scenario of testdata/scenarios.py.
type scenario struct {
	lines chan said
	ended chan error
	errs  *bytes.Buffer
}

func start(t *testing.T, name string, args ...any) *scenario {
	t.Helper()
	asked, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	cmd := stack.Python(t, "-W", "error", filepath.Join("testdata", "scenarios.py"), name, string(asked))
	s := &scenario{lines: make(chan said, 1024), ended: make(chan error, 1), errs: &bytes.Buffer{}}
	cmd.Stderr = s.errs
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			var line said
			if json.Unmarshal(scanner.Bytes(), &line) == nil {
				s.lines <- line
			}
		}
		close(s.lines)
		s.ended <- cmd.Wait()
	}()
	return s
}

// all returns what the scenario said until it ended, in one.
func (s *scenario) all(t *testing.T) []said {
	t.Helper()
	deadline := time.After(patience)
	var all []said
	for {
		select {
		case line, more := <-s.lines:
			if more {
				all = append(all, line)
				continue
			}
			if err := <-s.ended; err != nil {
				t.Fatalf("the scenario: %v\n%s", err, s.errs)
			}
			if s.errs.Len() > 0 {
				t.Errorf("the scenario complained:\n%s", s.errs)
			}
			return all
		case <-deadline:
			t.Fatalf("the scenario said %v and did not end in time", all)
		}
	}
}

// run returns all that a scenario said, as one line.
func run(t *testing.T, name string, args ...any) said {
	t.Helper()
	all := said{}
	for _, line := range start(t, name, args...).all(t) {
		maps.Copy(all, line)
	}
	return all
}

func session(t *testing.T, p *stack.Proc) string {
	t.Helper()
	return stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
}

func TestUnits(t *testing.T) {
	t.Parallel()
	cmd := stack.Python(t, "-X", "dev", "-W", "error", "-m", "unittest", "discover", "-s", "tests")
	cmd.Dir = stack.PythonClient()
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("\nOK\n")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	cmd := stack.Python(t, "-m", "mypy", "--strict", "--cache-dir", t.TempDir(), "src", "tests")
	cmd.Dir = stack.PythonClient()
	cmd.Env = append(cmd.Env, "MYPYPATH=tests:src")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The wheel holds the package with its types, and needs httpx only.
func TestWheel(t *testing.T) {
	t.Parallel()
	source, out := t.TempDir(), t.TempDir()
	if err := os.CopyFS(source, os.DirFS(stack.PythonClient())); err != nil { // a build leaves files beside its source
		t.Fatal(err)
	}
	cmd := stack.Python(
		t, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check",
		"--wheel-dir", out, source,
	)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	const list = `import sys, zipfile, glob
z = zipfile.ZipFile(glob.glob(sys.argv[1] + "/noetl_gateway_client-*-py3-none-any.whl")[0])
print("\n".join(z.namelist()))
print(z.read(next(n for n in z.namelist() if n.endswith("/METADATA"))).decode())`
	text, err := stack.Python(t, "-c", list, out).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"noetl_gateway_client/py.typed\n", "noetl_gateway_client/gateway.py\n", "Requires-Python: >=3.11\n",
		"Requires-Dist: httpx<1,>=0.27\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the wheel lacks %q:\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), "Requires-Dist:"); n != 1 {
		t.Errorf("%d dependencies, want httpx only", n)
	}
}

func TestSurface(t *testing.T) {
	t.Parallel()
	for _, generation := range stack.Generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t, stack.Generation(generation))
			viewer := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "viewer@example.com")
			got := run(t, "surface", p.Ready.Public, session(t, p), viewer)
			large, _ := got["large"].(float64)
			delete(got, "large")
			if large < 9_000_000 {
				t.Errorf("the large result has %v bytes", large)
			}
			want := said{
				"silent": true, "fail": "playbook_failed", "message": "demo/fail fails on purpose", "rerun": true,
				"follow": "playbook.completed", "ops": []any{"added", "modified", "removed"}, "health": "ok",
				"denied": "DeniedError", "code": "execute_denied",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWithoutAsyncio(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	got := run(t, "synchronous", p.Ready.Public, session(t, p))
	steps(t, got)
	want := said{
		"result": map[string]any{"text": "hello"}, "cancelled": "cancelled", "over": true,
		"follow": "playbook.cancelled", "nobody": "UnavailableError", "soon": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// steps checks the frames of a run of demo/progress: each once, in order, the result last. It takes them out.
func steps(t *testing.T, got said) {
	t.Helper()
	names := []any{"prepare", "extract", "transform", "load", "report"}
	var states []any
	for _, name := range names {
		states = append(states, fmt.Sprint("step.enter ", name), fmt.Sprint("step.exit ", name))
	}
	seen, _ := got["states"].([]any)
	if len(seen) == 0 {
		t.Fatalf("no state in %v", got)
	}
	if last, _ := seen[len(seen)-1].(string); strings.HasPrefix(last, "playbook.completed ") {
		seen = seen[:len(seen)-1]
	} else {
		t.Errorf("the last state of %v is not playbook.completed", seen)
	}
	want := said{"progress": names, "states": states, "last": "playbook/result"}
	have := said{"progress": got["progress"], "states": seen, "last": got["last"]}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	for name := range want {
		delete(got, name)
	}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	token := session(t, p)
	lines := start(t, "cancelling", p.Ready.Public, token).all(t)
	if len(lines) != 4 {
		t.Fatalf("it said %v", lines)
	}
	execution, _ := lines[3]["execution"].(string)
	delete(lines[3], "execution")
	want := []said{{"told": "cancelled"}, {"left": false}, {"left": "cancelled"}, {"limited": "RunTimeoutError"}}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	a := testkit.Do(t, http.MethodGet, p.Ready.NoETL+"/api/executions/"+execution, nil)
	if !strings.Contains(strings.ToUpper(a.Body), "CANCELLED") {
		t.Errorf("the execution whose run took too long: %s", a.Body)
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	got := start(t, "expiry", p.Ready.Public, p.Ready.Issuer).all(t)
	want := []said{
		{
			"result": map[string]any{"waited_seconds": 4.0}, "asked": []any{"start", "expired"}, "same": true,
			"state": "live",
		},
		{"error": "ExpiredError", "state": "expired"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestThousandRuns(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	got := run(t, "many", p.Ready.Public, session(t, p), 1000)
	if diff := cmp.Diff(said{"right": 1000.0, "executions": 1000.0, "left": 0.0}, got); diff != "" {
		t.Error(diff)
	}
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/echo")); n != 1000 {
		t.Errorf("%d executions were started, want 1000", n)
	}
}

// Whichever piece of bytes is the last before all connections break: the run gives each frame once, and is one
// execution.
func TestCutBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	token := session(t, p)
	whole := stack.NewWire(t, p.Ready.Public)
	steps(t, run(t, "one", whole.URL, token, "demo/progress", said{"step_ms": 30}))
	// Two more: how many pieces there are differs a little from run to run.
	cuts := whole.Pieces() + 2
	urls := make([]string, cuts)
	wires := make([]*stack.Wire, cuts)
	for i := range urls {
		wires[i] = stack.NewWire(t, p.Ready.Public)
		wires[i].CutWhen(stack.Cut{Piece: i + 1})
		urls[i] = wires[i].URL
	}
	lines := start(t, "all_of", urls, token, "demo/progress", said{"step_ms": 30}).all(t)
	executions := map[any]bool{}
	for _, line := range lines {
		executions[line["execution"]] = true
		steps(t, line)
	}
	if len(lines) != cuts || len(executions) != cuts {
		t.Errorf("%d runs of %d executions, want %d", len(lines), len(executions), cuts)
	}
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != cuts+1 {
		t.Errorf("%d executions were started, want %d", n, cuts+1)
	}
	done := slices.DeleteFunc(wires, func(w *stack.Wire) bool { return !w.WasCut() })
	if len(done) < cuts/2 {
		t.Errorf("only %d of %d connections were cut", len(done), cuts)
	}
	t.Logf("%d cuts", len(done))
}

func TestSlowNetwork(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	slow := stack.NewWire(t, p.Ready.Public)
	slow.Slow(512, 150*time.Millisecond)
	steps(t, run(t, "one", slow.URL, session(t, p), "demo/progress", said{"step_ms": 10}))
}

// A gateway that is killed during a run, and started again later, with its data.
func TestKilledGateway(t *testing.T) {
	t.Parallel()
	for _, generation := range []string{"rust", "feed"} {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			killed(t, generation)
		})
	}
}
