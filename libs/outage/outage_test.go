package outage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/outage"
)

// log is what a book wrote, without the time.
type log struct{ bytes.Buffer }

func book() (*outage.Book, *log) {
	var l log
	return outage.New(slog.New(slog.NewTextHandler(&l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))), &l
}

func (l *log) want(t *testing.T, what string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, strings.FieldsFunc(l.String(), func(r rune) bool { return r == '\n' })); diff != "" &&
		len(lines)+l.Len() > 0 {
		t.Errorf("%s: %s", what, diff)
	}
	l.Reset()
}

func pass(d time.Duration) { <-time.After(d) }

func TestALossAndAReturnAreOneLineEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, l := book()
		d := b.Of("noetl", "http://noetl:8082")
		refused := errors.New("connection refused")
		d.Note(t.Context(), "check", refused)
		l.want(t, "what starts beside this process")
		pass(2 * time.Second)
		for range 100 {
			d.Note(t.Context(), "check", refused)
			d.Note(t.Context(), "loop", fmt.Errorf("another: %w", refused))
			pass(100 * time.Millisecond)
		}
		l.want(t, "lost",
			`level=WARN msg="dependency lost" dependency=noetl address=http://noetl:8082 reason="connection refused"`)
		d.Note(t.Context(), "check", nil)
		d.Note(t.Context(), "loop", context.Canceled)
		l.want(t, "a witness still says so")
		d.Note(t.Context(), "loop", nil)
		d.Note(t.Context(), "check", nil)
		l.want(t, "back",
			`level=INFO msg="dependency back" dependency=noetl address=http://noetl:8082 gone_seconds=12`)
		b.Close()
		pass(time.Hour)
		d.Note(t.Context(), "check", refused)
		l.want(t, "the process stops")
	})
}

func TestWhatIsBehindALostDependencyIsNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, l := book()
		nats, frames := b.Of("nats", ""), b.Of("frames", "", "nats")
		broken := errors.New("broken")
		pass(time.Minute)
		frames.Note(t.Context(), "check", broken) // it notices first
		pass(time.Second)
		nats.Note(t.Context(), "connection", broken)
		for range 10 {
			frames.Note(t.Context(), "check", broken)
			pass(time.Second)
		}
		l.want(t, "both", `level=WARN msg="dependency lost" dependency=nats reason=broken`)
		if diff := cmp.Diff([]string{"frames", "nats"}, b.Lost()); diff != "" {
			t.Error(diff)
		}
		nats.Note(t.Context(), "connection", nil)
		frames.Note(t.Context(), "check", broken)
		pass(time.Second)
		frames.Note(t.Context(), "check", broken)
		l.want(t, "a moment for what is behind", `level=INFO msg="dependency back" dependency=nats gone_seconds=10`)
		pass(2 * time.Second)
		frames.Note(t.Context(), "check", broken)
		l.want(t, "it stays lost", `level=WARN msg="dependency lost" dependency=frames reason=broken`)
		frames.Note(t.Context(), "check", nil)
		l.want(t, "back", `level=INFO msg="dependency back" dependency=frames gone_seconds=14`)
	})
}

// Whoever can make a dependency fail now and then must not fill the log.
func TestWhatComesAndGoesIsToldMoreAndMoreRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, l := book()
		d := b.Of("noetl", "")
		pass(time.Minute)
		for range 600 { // ten minutes
			d.Note(t.Context(), "check", errors.New("timeout"))
			pass(500 * time.Millisecond)
			d.Note(t.Context(), "check", nil)
			pass(500 * time.Millisecond)
		}
		if n := strings.Count(l.String(), "\n"); n < 10 || n > 40 {
			t.Errorf("%d lines", n)
		}
		l.Reset()
		pass(time.Hour)
		d.Note(t.Context(), "check", errors.New("timeout"))
		l.want(t, "after a good hour", `level=WARN msg="dependency lost" dependency=noetl reason=timeout`)
	})
}

func TestAnotherCauseIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, l := book()
		d := b.Of("nats", "")
		pass(time.Minute)
		d.Note(t.Context(), "connection", errors.New("EOF"))
		for range 3 {
			d.NoteCause(t.Context(), "connection", "refused", errors.New("authorization violation"))
			d.Note(t.Context(), "check", errors.New("not connected"))
		}
		l.want(t, "refused", `level=WARN msg="dependency lost" dependency=nats reason=EOF`,
			`level=WARN msg="dependency lost" dependency=nats reason="authorization violation"`)
	})
}

// stuck is a log that takes its first line only when it may.
type stuck struct {
	log
	entered, release chan struct{}
	once             sync.Once
}

func (s *stuck) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.entered); <-s.release })
	return s.log.Write(p)
}

// Requests note errors: a log that is stuck holds up none but the one that writes.
func TestALogThatIsStuckHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{entered: make(chan struct{}), release: make(chan struct{})}
		b := outage.New(slog.New(slog.NewTextHandler(out, nil)))
		noetl, other := b.Of("noetl", ""), b.Of("other", "")
		pass(time.Minute)
		var first sync.WaitGroup
		first.Go(func() { noetl.Note(t.Context(), "check", errors.New("lost")) })
		<-out.entered
		noted := make(chan struct{})
		go func() {
			defer close(noted)
			noetl.Note(t.Context(), "check", nil)
			other.Note(t.Context(), "check", errors.New("lost"))
			b.Lost()
		}()
		select {
		case <-noted:
		case <-time.After(time.Minute):
			t.Error("others wait for the log")
		}
		close(out.release)
		first.Wait()
		<-noted
		var got []string
		for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
			_, text, _ := strings.Cut(line, "msg=")
			got = append(got, text)
		}
		if diff := cmp.Diff([]string{
			`"dependency lost" dependency=noetl reason=lost`, `"dependency back" dependency=noetl gone_seconds=0`,
			`"dependency lost" dependency=other reason=lost`,
		}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNothingIsToldWithoutABook(t *testing.T) {
	t.Parallel()
	var b *outage.Book
	b.Of("nats", "").Note(t.Context(), "check", errors.New("lost"))
	b.Close()
	if lost := b.Lost(); lost != nil {
		t.Error(lost)
	}
}

func TestTriesBackOffWithJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := outage.Backoff{First: time.Second}
		seen := map[time.Duration]bool{}
		for i := range 40 {
			step := min(time.Second<<min(i, 10), outage.Most)
			got := b.Next()
			if got < step/2 || got > step {
				t.Errorf("try %d: %v, want %v to %v", i, got, step/2, step)
			}
			seen[got] = true
		}
		if len(seen) < 20 {
			t.Errorf("only %d different waits", len(seen))
		}
		b.Reset()
		if got := b.Next(); got > time.Second {
			t.Errorf("after a success: %v", got)
		}
		var zero outage.Backoff
		begin := time.Now()
		if !zero.Wait(t.Context(), nil) || time.Since(begin) > 250*time.Millisecond {
			t.Error(time.Since(begin))
		}
		wake := make(chan struct{})
		close(wake)
		begin = time.Now()
		if !zero.Wait(t.Context(), wake) || time.Since(begin) > 0 {
			t.Error("it was not woken")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if zero.Wait(ctx, nil) {
			t.Error("its context has ended")
		}
	})
}
