package telemetry_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/telemetry"
)

func TestALevelThatIsSetForAWhileEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l telemetry.Level
		want := func(what string, level slog.Level, left time.Duration) {
			t.Helper()
			synctest.Wait()
			got, until := l.Get()
			if got != level || l.Level() != level || until.IsZero() != (left == 0) ||
				left > 0 && time.Until(until) != left {
				t.Errorf("%s: %v until %v, want %v for %v", what, got, until, level, left)
			}
		}
		want("zero value", slog.LevelInfo, 0)
		l.SetBase(slog.LevelWarn)
		want("the settings'", slog.LevelWarn, 0)

		l.Set(slog.LevelDebug, time.Minute)
		want("for a minute", slog.LevelDebug, time.Minute)
		<-time.After(59 * time.Second)
		l.SetBase(slog.LevelError)
		want("a reload in between", slog.LevelDebug, time.Second)
		<-time.After(time.Second)
		want("over", slog.LevelError, 0)

		l.Set(slog.LevelDebug, time.Minute)
		<-time.After(30 * time.Second)
		l.Set(slog.LevelInfo, time.Hour)
		<-time.After(time.Minute)
		want("the first end is forgotten", slog.LevelInfo, 59*time.Minute)
		l.Set(slog.LevelDebug, 0)
		<-time.After(2 * time.Hour)
		want("without an end", slog.LevelDebug, 0)
		l.SetBase(slog.LevelWarn)
		want("until a reload", slog.LevelWarn, 0)
	})
}

func TestLevelsAreSetConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l telemetry.Level
		l.SetBase(slog.LevelWarn)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { l.Set(slog.LevelDebug, time.Duration(i+1)*time.Millisecond) })
			wg.Go(func() { l.SetBase(slog.LevelError); l.Get() })
		}
		wg.Wait()
		<-time.After(time.Second)
		synctest.Wait()
		if got, until := l.Get(); got != slog.LevelError || !until.IsZero() {
			t.Errorf("%v until %v", got, until)
		}
	})
}

func TestAllLoggersFollowTheLevel(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		var b bytes.Buffer
		tel, err := telemetry.Setup(
			t.Context(), "svc", "v1", telemetry.Config{Format: format, Level: "warn"}, &b,
			telemetry.NewRegistry("v1"),
		)
		if err != nil {
			t.Fatal(err)
		}
		loggers := []*slog.Logger{tel.Logger, tel.Logger.With("k", 1), tel.Logger.WithGroup("g").With("k", 1)}
		lines := func() int {
			b.Reset()
			for _, l := range loggers {
				l.DebugContext(t.Context(), "line")
			}
			return strings.Count(b.String(), "\n")
		}
		if n := lines(); n != 0 {
			t.Errorf("%s: %d lines below the level", format, n)
		}
		tel.Level.Set(slog.LevelDebug, 0)
		if n := lines(); n != len(loggers) {
			t.Errorf("%s: %d lines of %d loggers", format, n, len(loggers))
		}
	}
	if level, _ := telemetry.Nop("svc").Level.Get(); level != slog.LevelInfo {
		t.Error(level)
	}
}

// Nobody hides what they do by setting a level for a while.
func TestALevelThatIsSetForAWhileHidesNothingOfTheAuditLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	tel, err := telemetry.Setup(
		t.Context(), "svc", "v1", telemetry.Config{Format: "json", Level: "info"}, &b, telemetry.NewRegistry("v1"),
	)
	if err != nil {
		t.Fatal(err)
	}
	tel.Level.Set(slog.LevelError, time.Hour)
	tel.Logger.InfoContext(t.Context(), "audit", "event", "session_revoked")
	tel.Logger.InfoContext(t.Context(), "chatter")
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "session_revoked") {
		t.Errorf("logged %s", got)
	}
	b.Reset()
	tel.Level.SetBase(slog.LevelWarn) // the settings' own word counts
	tel.Logger.InfoContext(t.Context(), "audit", "event", "session_revoked")
	if b.Len() != 0 {
		t.Errorf("logged %s", b.String())
	}
}
