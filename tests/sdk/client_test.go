// Package sdk_test drives the built client library, in Node and in Chromium, against real gateways: connections are
// cut between any two steps of a run, replicas are killed, sessions end, pages are reloaded.
package sdk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute

// said is one thing that a driver tells (testdata/driver.mjs).
type said struct {
	Kind    string
	Name    string
	ID      string
	Request string
	Text    string
	Error   string
	Code    string
	Status  int
	Count   int
	Twice   int
	Typed   bool
	Failed  bool
}

// client is the library at work somewhere.
type client struct {
	name string
	send func(t *testing.T, order []byte)

	mu      sync.Mutex
	all     []said
	changed chan struct{}
}

func newClient(name string) *client { return &client{name: name, changed: make(chan struct{}, 1)} }

func (c *client) hear(some ...said) {
	c.mu.Lock()
	c.all = append(c.all, some...)
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default: // whoever waits looks at all of it
	}
}

type order map[string]any

// order sends one order.
func (c *client) order(t *testing.T, name string, value order) {
	t.Helper()
	line, err := json.Marshal(order{name: value})
	if err != nil {
		t.Fatal(err)
	}
	c.send(t, line)
}

// heard returns everything of a kind; of one run, if it is named.
func (c *client) heard(kind, name string) []said {
	c.mu.Lock()
	defer c.mu.Unlock()
	var some []said
	for _, s := range c.all {
		if s.Kind == kind && (name == "" || s.Name == name) {
			some = append(some, s)
		}
	}
	return some
}

// wait waits for the n-th thing of a kind, counted from 1.
func (c *client) wait(t *testing.T, kind, name string, n int) said {
	t.Helper()
	return c.await(t, patience, kind, name, n)
}

// within waits longer, for what takes its time.
func (c *client) within(t *testing.T, limit time.Duration, kind string) said {
	t.Helper()
	return c.await(t, limit, kind, "", 1)
}

func (c *client) await(t *testing.T, limit time.Duration, kind, name string, n int) said {
	t.Helper()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		if some := c.heard(kind, name); len(some) >= n {
			return some[n-1]
		}
		select {
		case <-c.changed:
		case <-timeout.C:
			t.Fatalf("%s did not say %q %s (%d) within %v, but:\n%s", c.name, kind, name, n, limit, c)
		}
	}
}

// settled waits until a run has a result, which must hold a text.
func (c *client) settled(t *testing.T, name, text string) said {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		if failed := c.heard("failed", name); len(failed) > 0 {
			t.Fatalf("%s: %s failed: %+v\n%s", c.name, name, failed, c)
		}
		if results := c.heard("result", name); len(results) > 0 {
			if !strings.Contains(results[0].Text, text) {
				t.Fatalf("%s: the result of %s is %s, want %s\n%s", c.name, name, results[0].Text, text, c)
			}
			return results[0]
		}
		select {
		case <-c.changed:
		case <-timeout.C:
			t.Fatalf("%s: %s has no result within %v\n%s", c.name, name, patience, c)
		}
	}
}

func (c *client) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, s := range c.all[max(0, len(c.all)-60):] {
		fmt.Fprintf(&b, "  %+v\n", s)
	}
	return b.String()
}

// library is the built file; a test that needs it and has none cannot run.
func library(t *testing.T) string {
	t.Helper()
	path := filepath.Join(stack.Root(), "libs", "client-js", "dist", "gateway-client.js")
	if _, err := os.Stat(path); err != nil {
		stack.CannotRun(t, "libs/client-js is not built: run make sdk, which needs Node.js 20 or newer with npm")
	}
	return path
}

// inNode starts the library in Node until the test ends.
func inNode(t *testing.T) *client {
	t.Helper()
	path, node := library(t), stack.Node(t)
	ctx, cancel := context.WithTimeout(context.Background(), 11*time.Minute) // it ends by itself before
	cmd := exec.CommandContext(ctx, node, "node.mjs")
	cmd.Dir = filepath.Join(stack.Root(), "tests", "sdk", "testdata")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LIBRARY=" + path}
	errs := &bytes.Buffer{}
	cmd.Stderr = errs
	stdout, err := cmd.StdoutPipe()
	var stdin io.WriteCloser
	if err == nil {
		stdin, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	c := newClient("Node")
	c.send = func(t *testing.T, order []byte) {
		t.Helper()
		if _, err := stdin.Write(append(order, '\n')); err != nil {
			t.Fatalf("Node: %v", err)
		}
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		scanner := bufio.NewScanner(stdout)
		scanner.Buffer(nil, 64<<20)
		for scanner.Scan() {
			var s said
			if err := json.Unmarshal(scanner.Bytes(), &s); err != nil {
				s = said{Kind: "no JSON", Text: scanner.Text()}
			}
			c.hear(s)
		}
	}()
	t.Cleanup(func() {
		defer cancel()
		_ = stdin.Close() // which ends it
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("node.mjs: %v\n%s", err, errs)
		}
		for _, s := range c.heard("unhandled", "") {
			t.Errorf("an unhandled rejection: %s", s.Text)
		}
	})
	return c
}
