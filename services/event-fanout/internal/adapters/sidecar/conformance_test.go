package sidecar_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/firestoretest"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/sidecar"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptionstest"
)

// A program that somebody else wrote, in another language, with nothing but the protocol: once with what tells that a
// watch is ready, and once as the script of earlier gateways, which never does.
func TestAProgramInPythonConforms(t *testing.T) {
	t.Parallel()
	python := pythonProgram(t)
	t.Run("that tells when it is ready", func(t *testing.T) {
		t.Parallel()
		subscriptionstest.RunWatchSource(t, func(t *testing.T) subscriptionstest.SourceHarness {
			t.Helper()
			return withPython(t, python, "ready")
		})
	})
	t.Run("that does not", func(t *testing.T) {
		t.Parallel()
		subscriptionstest.RunWatchSource(t, func(t *testing.T) subscriptionstest.SourceHarness {
			t.Helper()
			return withPython(t, python)
		})
	})
}

// Our listener, on Google's emulator.
func TestOurListenerConforms(t *testing.T) {
	t.Parallel()
	emulator := firestoretest.Start(t)
	subscriptionstest.RunWatchSource(t, func(t *testing.T) subscriptionstest.SourceHarness {
		t.Helper()
		source, _ := bad(t, "listener", sidecar.Config{Env: emulator.Environment()})
		return subscriptionstest.SourceHarness{
			Source: source,
			Put: func(t *testing.T, path, doc, data string) {
				t.Helper()
				emulator.Put(t, path, doc, data)
			},
			Delete: func(t *testing.T, path, doc string) {
				t.Helper()
				emulator.Delete(t, path, doc)
			},
			Interrupt: func(t *testing.T) {
				t.Helper()
				kill(t, source)
			},
		}
	})
}

func pythonProgram(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED a listener in Python: no python3 on this machine")
	}
	return python
}

func withPython(t *testing.T, python string, args ...string) subscriptionstest.SourceHarness {
	t.Helper()
	script, err := filepath.Abs("testdata/documents.py")
	testkit.Must(t, err)
	journal := filepath.Join(t.TempDir(), "journal")
	testkit.Must(t, os.WriteFile(journal, nil, 0o600))
	add := func(t *testing.T, path, doc string, data json.RawMessage) {
		t.Helper()
		f, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
		testkit.Must(t, err)
		defer func() { testkit.Must(t, f.Close()) }()
		line, err := json.Marshal(map[string]any{"path": path, "doc": doc, "data": data})
		testkit.Must(t, err)
		_, err = f.Write(append(line, '\n'))
		testkit.Must(t, err)
	}
	source := start(t, sidecar.Config{
		Command: append([]string{python, script, journal}, args...),
		Env:     os.Environ(),
		Bounds:  sidecar.Bounds{Start: 5 * time.Second, Quiet: 200 * time.Millisecond, QuietMost: time.Second},
	})
	return subscriptionstest.SourceHarness{
		Source: source,
		Put: func(t *testing.T, path, doc, data string) {
			t.Helper()
			add(t, path, doc, json.RawMessage(data))
		},
		Delete: func(t *testing.T, path, doc string) {
			t.Helper()
			add(t, path, doc, nil)
		},
		Interrupt: func(t *testing.T) {
			t.Helper()
			kill(t, source)
		},
	}
}

// kill kills the program of a source.
func kill(t *testing.T, source *sidecar.Source) {
	t.Helper()
	var pid int
	testkit.Eventually(t, "a program", func() bool { pid = source.PID(); return pid != 0 })
	testkit.Must(t, syscall.Kill(pid, syscall.SIGKILL))
	testkit.Eventually(t, "its end", func() bool { return source.PID() != pid })
}

// start runs a source until the test ends.
func start(t *testing.T, cfg sidecar.Config) *sidecar.Source {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	source := sidecar.New(cfg)
	runUntilEnd(t, source)
	return source
}
