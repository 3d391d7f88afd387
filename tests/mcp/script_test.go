package mcp_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// A client is one of the official SDKs at work in a script.
type client struct {
	name string
	args map[string]any
	make func(t *testing.T, args string) *exec.Cmd
}

func sdks() []client {
	typescript := func(t *testing.T, args string) *exec.Cmd {
		t.Helper()
		return command(t, "typescript.mjs", args)
	}
	return []client{
		{"typescript-v1", map[string]any{"sdk": "v1"}, typescript},
		{"typescript-v2", map[string]any{"sdk": "v2"}, typescript},
		{"python", map[string]any{}, python},
	}
}

func python(t *testing.T, args string) *exec.Cmd {
	t.Helper()
	requirements := filepath.Join(clients(), "requirements.txt")
	return stack.PythonWith(t, "mcp", requirements, filepath.Join(clients(), "python_client.py"), args)
}

// script is a script that runs.
type script struct {
	stdin io.WriteCloser
	lines chan line
	errs  *bytes.Buffer
}

// line is what a script says about one step.
type line struct {
	Step string `json:"step"`
	raw  []byte
}

// run starts a scenario of a client; more are further arguments.
func (c client) run(t *testing.T, scenario string, w world, more map[string]any) *script {
	t.Helper()
	args := map[string]any{"scenario": scenario, "url": w.url}
	maps.Copy(args, c.args)
	maps.Copy(args, more)
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	cmd := c.make(t, string(text))
	s := &script{lines: make(chan line, 64), errs: &bytes.Buffer{}}
	cmd.Stderr = s.errs
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		s.stdin, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		scanner := bufio.NewScanner(stdout)
		scanner.Buffer(nil, 32<<20)
		for scanner.Scan() {
			l := line{raw: bytes.Clone(scanner.Bytes())}
			if json.Unmarshal(l.raw, &l) == nil {
				s.lines <- l
			}
		}
		_ = cmd.Wait() // what it said is what counts
		close(s.lines)
	}()
	t.Cleanup(func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill() // it may have ended
		}
		<-ended
		if t.Failed() {
			t.Logf("---- %s\n%s", c.name, s.errs)
		}
	})
	return s
}

// next reads what the script says about the next step, which must be this one.
func next[T any](t *testing.T, s *script, step string) T {
	t.Helper()
	var v T
	select {
	case l, more := <-s.lines:
		switch {
		case !more:
			t.Fatalf("the script ended before %s\n%s", step, s.errs)
		case l.Step != step:
			t.Fatalf("the script says %s, want %s", l.raw, step)
		}
		if err := json.Unmarshal(l.raw, &v); err != nil {
			t.Fatalf("%s: %v", l.raw, err)
		}
	case <-time.After(patience):
		t.Fatalf("the script said nothing of %s for %v", step, patience)
	}
	return v
}

// told is an error as a client tells it.
type told struct {
	Name    string
	Message string
	Code    any
	Status  any
}

// content is a part of a result.
type content struct {
	Type     string
	Text     string
	URI      string
	Name     string
	MimeType string
}

// result is that of a tool.
type result struct {
	Content           []content
	StructuredContent map[string]any
	IsError           bool
}
