package sidecar_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/sidecar"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// log is a log that can be read while it is written.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// memory reports how much the heap grew at most while f ran.
func memory(t *testing.T, f func()) uint64 {
	t.Helper()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before, most := heap(), uint64(0)
	done, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				most = max(most, heap())
			}
		}
	}()
	f()
	close(done)
	<-sampled
	return most - min(most, before)
}

// watched watches until Ready, an end, or a number of changes.
func watched(t *testing.T, source *sidecar.Source, path string) ([]subscriptions.Change, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var told []subscriptions.Change
	err := source.Watch(ctx, path, func(c subscriptions.Change) {
		told = append(told, c)
		if c.Op == subscriptions.Ready {
			cancel()
		}
	})
	return told, err
}

// recovers checks that the source works, after outages maybe.
func recovers(t *testing.T, source *sidecar.Source) {
	t.Helper()
	testkit.Eventually(t, "a watch that works", func() bool {
		told, err := watched(t, source, "threads/a/events")
		if err != nil && !fault.IsOutage(err) {
			t.Fatal(err)
		}
		return err == nil && len(told) == 2 && string(told[0].Data) == `{"n":1}`
	})
	testkit.Eventually(t, "readiness", func() bool { return source.Probe(t.Context()) == nil })
}

const mega = 1 << 20

// What a program does wrong is seen in readiness, costs little memory, and is over when the program is good again.
// These tests measure memory, so they do not run beside others.
func TestMisbehavingProgramsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		bounds sidecar.Bounds
		seen   string // in what readiness says
		during func(*testing.T, *sidecar.Source)
	}{
		"exit":    {seen: "exit status 3"},
		"endless": {seen: "without an end"},
		"deaf":    {bounds: sidecar.Bounds{Start: 500 * time.Millisecond}, seen: "does not read", during: asks},
		"flood": {seen: "nobody asked for", during: func(t *testing.T, source *sidecar.Source) {
			t.Helper()
			begin, before := time.Now(), source.Stats().Dropped
			testkit.Eventually(t, "a flood", func() bool { return source.Stats().Dropped-before > 300_000 })
			rate := float64(source.Stats().Dropped-before) / time.Since(begin).Seconds()
			t.Logf("%.0f lines a second were dropped", rate)
			recovers1(t, source)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var out log
			source, becomeGood := bad(t, name, sidecar.Config{Bounds: c.bounds, Logger: out.logger()})
			grew := memory(t, func() {
				if c.during != nil {
					c.during(t, source)
				}
				testkit.Eventually(t, "readiness says so", func() bool {
					err := source.Probe(t.Context())
					return err != nil && strings.Contains(err.Error(), c.seen)
				})
				_, err := source.Tell(t.Context())
				t.Logf("readiness: %v", err)
			})
			t.Logf("the heap grew by %.1f MiB, %+v", float64(grew)/mega, source.Stats())
			if grew > 48*mega {
				t.Errorf("the heap grew by %d MiB", grew/mega)
			}
			becomeGood()
			recovers(t, source)
			if lines := strings.Count(out.String(), "\n"); lines > 60 {
				t.Errorf("%d lines of log", lines)
			}
		})
	}
}

// recovers1 checks that a watch works beside what goes on.
func recovers1(t *testing.T, source *sidecar.Source) {
	t.Helper()
	told, err := watched(t, source, "threads/a/events")
	if err != nil || len(told) != 2 {
		t.Errorf("a watch beside it: %v %v", told, err)
	}
}

// asks watches once, which ends with an outage.
func asks(t *testing.T, source *sidecar.Source) {
	t.Helper()
	if told, err := watched(t, source, "threads/a/events"); err == nil || !fault.IsOutage(err) || len(told) > 0 {
		t.Errorf("a watch of it told %v and ended with %v", told, err)
	}
}

func TestInvalidLinesEndTheWatchTheyAreAbout(t *testing.T) {
	t.Parallel()
	var out log
	source, becomeGood := bad(t, "invalid", sidecar.Config{Logger: out.logger()})
	told, err := watched(t, source, "threads/a/events")
	if err == nil || !fault.IsOutage(err) {
		t.Errorf("a lost line: told %v, ended with %v", told, err)
	}
	testkit.Eventually(t, "invalid lines", func() bool { return source.Stats().Dropped > 100 })
	becomeGood()
	recovers(t, source)
	if n := strings.Count(out.String(), "lines that are invalid"); n == 0 || n > 3 {
		t.Errorf("%d lines of log:\n%s", n, out.String())
	}
}

func TestLinesThatNobodyAskedForDisturbNothing(t *testing.T) {
	t.Parallel()
	var out log
	source, _ := bad(t, "unknown", sidecar.Config{Logger: out.logger()})
	testkit.Eventually(t, "lines", func() bool { return source.Stats().Dropped > 20 })
	recovers(t, source)
	if n := strings.Count(out.String(), "nobody asked for"); n == 0 || n > 3 {
		t.Errorf("%d lines of log:\n%s", n, out.String())
	}
}

func TestASilentProgramIsAnOutageOfItsWatch(t *testing.T) {
	t.Parallel()
	source, _ := bad(t, "silent", sidecar.Config{Bounds: sidecar.Bounds{Silence: 300 * time.Millisecond}})
	asks(t, source)
}

// A document that is too large for a line ends its watch for good, and no other.
func TestALineThatIsTooLongEndsItsWatchOnly(t *testing.T) {
	t.Parallel()
	source, _ := bad(t, "long", sidecar.Config{})
	if _, err := watched(t, source, "threads/long/events"); !testkit.IsKind(err, fault.TooLarge) {
		t.Errorf("the watch ended with %v", err)
	}
	recovers(t, source)
	if restarts := source.Stats().Restarts; restarts > 0 {
		t.Errorf("the program was restarted %d times", restarts)
	}
}

// A caller that does not take what it is told loses its watch; the others go on, and what waits is bounded.
func TestAWatchThatTakesNothingHoldsUpNoOther(t *testing.T) {
	source, _ := bad(t, "many", sidecar.Config{Bounds: sidecar.Bounds{Patience: 100 * time.Millisecond}})
	stuck, release := make(chan error, 1), make(chan struct{})
	grew := memory(t, func() {
		first := make(chan struct{})
		var once sync.Once
		go func() {
			stuck <- source.Watch(t.Context(), "threads/stuck/events", func(subscriptions.Change) {
				once.Do(func() { close(first) })
				<-release
			})
		}()
		<-first
		recovers1(t, source)
		close(release)
		if err := <-stuck; !testkit.IsKind(err, fault.Unavailable) {
			t.Errorf("the watch that took nothing ended with %v", err)
		}
	})
	t.Logf("the heap grew by %.1f MiB", float64(grew)/mega)
	if grew > 48*mega {
		t.Errorf("the heap grew by %d MiB", grew/mega)
	}
}

func TestErrorsOfTheProgramAreFaults(t *testing.T) {
	t.Parallel()
	source, _ := bad(t, "errors", sidecar.Config{})
	for i, want := range []fault.Kind{
		fault.Denied, fault.NotFound, fault.Unavailable, fault.Denied, fault.Unavailable, fault.Unavailable,
	} {
		_, err := watched(t, source, "threads/a/events")
		if !testkit.IsKind(err, want) {
			t.Errorf("watch %d ended with %v, want %v", i+1, err, want)
		}
		if message := fault.Of(err).Message; strings.Contains(message, "secret") {
			t.Errorf("what the program said would be shown to clients: %q", message)
		}
	}
}

func TestWhatAProgramSaysIsBoundedInTheLog(t *testing.T) {
	t.Parallel()
	var out log
	source, _ := bad(t, "wordy", sidecar.Config{Logger: out.logger()})
	recovers(t, source)
	testkit.Eventually(t, "words", func() bool { return strings.Count(out.String(), "\n") >= 50 })
	recovers(t, source)
	text := out.String()
	if lines := strings.Count(text, "\n"); lines > 150 || len(text) > 150*800 {
		t.Errorf("%d lines, %d bytes", lines, len(text))
	}
	if strings.Contains(text, "level=ERROR msg") || !strings.Contains(text, "level=WARN") {
		t.Error("the level is not WARN")
	}
}

// SIGTERM is ignored: it and what it started are killed.
func TestAProgramThatIgnoresSIGTERMIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	testkit.Must(t, err)
	source := sidecar.New(sidecar.Config{
		Command: []string{self, "program:stubborn", t.TempDir() + "/good"}, Env: os.Environ(),
		Logger: slog.New(slog.DiscardHandler), Bounds: sidecar.Bounds{Stop: 200 * time.Millisecond},
	})
	stop := runUntilEnd(t, source)
	var child string
	ctx, cancel := context.WithCancel(t.Context())
	testkit.Must(t, source.Watch(ctx, "threads/a/events", func(c subscriptions.Change) {
		if c.Op == subscriptions.Put {
			child = string(c.Data)
			cancel()
		}
	}))
	cancel()
	pid := source.PID()
	if !alive(fmt.Sprint(pid)) || !alive(child) {
		t.Fatalf("%d and %s do not run", pid, child)
	}
	stop()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the program still runs")
	}
	testkit.Eventually(t, "the end of its child", func() bool { return !alive(child) })
}

// alive reports whether a process runs: one that ended and was not reaped does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}
