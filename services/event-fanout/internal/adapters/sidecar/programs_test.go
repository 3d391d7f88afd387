package sidecar_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/sidecar"
	"github.com/noetl/gateway/services/event-fanout/internal/firestorewatch"
)

// The test binary is the programs too: sidecar.test program:<name> <file>. A program that misbehaves is good once the
// file is there.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if name, ok := strings.CutPrefix(os.Args[1], "program:"); ok {
			os.Exit(program(name, os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

func say(line string) { _, _ = os.Stdout.WriteString(line + "\n") }

func sayf(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format, args...) }

func isThere(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func program(name, file string) int {
	if isThere(file) {
		return good(nil)
	}
	switch name {
	case "listener":
		return firestorewatch.Main(context.Background(), os.Stdin, os.Stdout, os.Stderr)
	case "good":
		return good(nil)
	case "exit":
		return 3
	case "endless":
		for junk := []byte(strings.Repeat("x", 64<<10)); ; {
			if _, err := os.Stdout.Write(junk); err != nil {
				return 0
			}
		}
	case "deaf":
		say(`{"op":"hello"}`)
		select {}
	case "silent":
		say(`{"op":"hello"}`)
		_, _ = bufio.NewReader(os.Stdin).ReadBytes(0)
		return 0
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		child := exec.CommandContext(context.Background(), "sleep", "600")
		if err := child.Start(); err != nil {
			return 1
		}
		_ = answer(func(id string) {
			sayf(`{"id":%q,"doc_id":"child","data":%d,"op":"added"}`+"\n", id, child.Process.Pid)
		})
		select {}
	case "environment":
		return good(func(id string) {
			data, _ := json.Marshal(os.Environ())
			sayf(`{"id":%q,"doc_id":"env","data":%s,"op":"added"}`+"\n", id, data)
		})
	case "wordy":
		go func() {
			for i := 0; ; i++ {
				fmt.Fprintln(os.Stderr, i, "level=ERROR", strings.Repeat("word ", 1000))
			}
		}()
		return good(nil)
	case "invalid":
		go repeat(file, time.Millisecond, 1, "{not JSON", `["neither"]`, "\xff\xfe", `{"op":"dance"}`)
		return good(func(id string) {
			if !isThere(file) {
				sayf(`{"id":%q,"doc_id":"d","data":{,"op":"added"}`+"\n", id)
			}
		})
	case "unknown":
		go repeat(file, 10*time.Millisecond, 1, `{"id":"nobody","doc_id":"d","data":{"n":1},"op":"added"}`, `{"doc_id":"d","op":"added","id":"w999999"}`)
		return good(nil)
	case "flood":
		go repeat(file, time.Millisecond, 200, `{"id":"nobody","doc_id":"d","data":{"n":1},"op":"added"}`)
		return good(nil)
	case "long":
		return good(func(id string) {
			if id == "w1" {
				sayf(`{"id":%q,"doc_id":"d","data":"%s","op":"added"}`+"\n", id, strings.Repeat("x", 6<<20))
			}
		})
	case "many":
		sent := make(chan struct{})
		return good(func(id string) {
			if id != "w1" {
				<-sent // more than can wait to be taken
				return
			}
			go func() {
				for i := range 5000 {
					sayf(`{"id":%q,"doc_id":"d%d","data":"%s","op":"added"}`+"\n", id, i, strings.Repeat("x", 1000))
				}
				close(sent)
			}()
		})
	case "errors":
		return answer(func(id string) {
			say(map[string]string{
				"w1": `{"id":"w1","op":"error","message":"secret","code":"permission_denied"}`,
				"w2": `{"id":"w2","op":"error","message":"secret","code":"not_found"}`,
				"w3": `{"id":"w3","op":"error","message":"secret","code":"unavailable"}`,
				"w4": `{"id":"w4","op":"error","message":"403 Missing or insufficient permissions."}`,
				"w5": `{"id":"w5","op":"error","message":"something"}`,
				"w6": `{"id":"w6","op":"added","data":{}}`,
			}[id])
		})
	}
	return 2
}

// repeat writes lines until the file is there: per pause, each of them n times.
func repeat(file string, pause time.Duration, n int, lines ...string) {
	batch := []byte(strings.Repeat(strings.Join(lines, "\n")+"\n", n))
	for tick := time.NewTicker(pause); ; <-tick.C {
		if isThere(file) {
			return
		}
		_, _ = os.Stdout.Write(batch)
	}
}

// good answers each question with a document, what extra writes, and ready.
func good(extra func(id string)) int {
	say(`{"op":"hello"}`)
	return answer(func(id string) {
		sayf(`{"id":%q,"doc_id":"d","data":{"n":1},"op":"added"}`+"\n", id)
		if extra != nil {
			extra(id)
		}
		sayf(`{"id":%q,"op":"ready"}`+"\n", id)
	})
}

func answer(with func(id string)) int {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var ask struct{ Op, ID string }
		if json.Unmarshal(in.Bytes(), &ask) == nil && ask.Op == "subscribe" {
			with(ask.ID)
		}
	}
	return 0
}

// bad is a source on a program of these, and the file that makes it good.
func bad(t *testing.T, name string, cfg sidecar.Config) (source *sidecar.Source, becomeGood func()) {
	t.Helper()
	self, err := os.Executable()
	testkit.Must(t, err)
	file := t.TempDir() + "/good"
	cfg.Command = []string{self, "program:" + name, file}
	if cfg.Bounds.RestartMost == 0 {
		cfg.Bounds.RestartMost = time.Second
	}
	return start(t, cfg), func() { testkit.Must(t, os.WriteFile(file, nil, 0o600)) }
}

// runUntilEnd runs a source until the test ends, and checks that it stops.
func runUntilEnd(t *testing.T, source *sidecar.Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the source did not stop")
		}
	}
	t.Cleanup(stop)
	return stop
}
