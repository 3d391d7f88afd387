// Package clients_test runs clients that nobody here wrote against the gateway: npm eventsource,
// @microsoft/fetch-event-source, ws, graphql-ws and graphql-http, Go's coder/websocket, and NoETL's
// command line.
package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// patience is how long a test waits for what must come.
const patience = 45 * time.Second

// folder holds the scripts and what npm fetches for them.
func folder() string { return filepath.Join(stack.Root(), "tests", "clients", "node") }

// installed fetches the packages of the lock file unless they are there.
var installed = sync.OnceValue(func() error {
	lock, err := os.ReadFile(filepath.Join(folder(), "package-lock.json"))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(lock)
	stamp, want := filepath.Join(folder(), "node_modules", ".installed"), hex.EncodeToString(sum[:])
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = folder()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(stamp, []byte(want), 0o600)
})

// needNode ends a test that cannot run because there is no Node.
func needNode(t *testing.T) {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			cannotRun(t, "no "+name+" on this machine: install Node.js 20 or newer with npm "+
				"(Debian: apt-get install nodejs npm)")
		}
	}
	if err := installed(); err != nil {
		t.Fatal(err)
	}
}

// cannotRun ends a test that cannot run here: with a failure where everything must run.
func cannotRun(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv("GATEWAY_TEST_REQUIRE") == "all" {
		t.Fatalf("%s NOT RUN: %s", t.Name(), why)
	}
	t.Skipf("%s NOT RUN: %s", t.Name(), why)
}

// said is one line of a script.
type said struct {
	Kind   string
	Event  string
	ID     string
	Text   string
	Code   int
	Closed bool
	Data   json.RawMessage
}

// script is a running script.
type script struct {
	name  string
	stdin io.WriteCloser
	lines chan said
	errs  *bytes.Buffer
}

// start runs a script until the test ends.
func start(t *testing.T, name, target string, env ...string) *script {
	t.Helper()
	needNode(t)
	ctx, cancel := context.WithTimeout(context.Background(), 11*time.Minute) // it ends by itself before
	cmd := exec.CommandContext(ctx, "node", name+".mjs")
	cmd.Dir = folder()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TARGET=" + target}, env...)
	s := &script{name: name, lines: make(chan said, 4096), errs: &bytes.Buffer{}}
	cmd.Stderr = s.errs
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		s.stdin, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.lines)
		scanner := bufio.NewScanner(stdout)
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			var line said
			if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
				line = said{Kind: "no JSON", Text: scanner.Text()}
			}
			if line.Kind == "message" { // passed on as it came: JavaScript rounds large numbers
				line.Data = json.RawMessage(line.Text)
			}
			s.lines <- line
		}
	}()
	t.Cleanup(func() {
		defer cancel()
		_ = s.stdin.Close() // which ends it
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, s.errs)
		}
	})
	return s
}

// order sends a script an order.
func (s *script) order(t *testing.T, name string, value any) {
	t.Helper()
	line, err := json.Marshal(map[string]any{name: value})
	if err == nil {
		_, err = s.stdin.Write(append(line, '\n'))
	}
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
}

// next returns what the script says next, pings of either protocol left out.
func (s *script) next(t *testing.T) said {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case line, ok := <-s.lines:
			switch {
			case !ok:
				t.Fatalf("%s has ended", s.name)
			case line.Kind == "ping", line.Event == "ping", method(line.Data) == "ping":
				continue
			}
			return line
		case <-timeout.C:
			t.Fatalf("%s said nothing for %v", s.name, patience)
		}
	}
}

// want returns the next line, which must be of that kind.
func (s *script) want(t *testing.T, kind string) said {
	t.Helper()
	line := s.next(t)
	if line.Kind != kind {
		t.Fatalf("%s said %+v (%s), want %s", s.name, line, line.Data, kind)
	}
	return line
}

// quiet wants a script to say nothing for a while.
func (s *script) quiet(t *testing.T, d time.Duration) {
	t.Helper()
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for {
		select {
		case line, ok := <-s.lines:
			if ok && (line.Kind == "ping" || line.Event == "ping" || method(line.Data) == "ping") {
				continue
			}
			t.Fatalf("%s said %+v, want nothing", s.name, line)
		case <-timeout.C:
			return
		}
	}
}

func method(data json.RawMessage) string {
	var m struct{ Method string }
	_ = json.Unmarshal(data, &m) // what is no message has no method
	return m.Method
}
