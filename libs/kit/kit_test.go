package kit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
)

type setup struct {
	reg  *prometheus.Registry
	logs bytes.Buffer
}

// observer makes an observer whose log and measurements the test can read.
func (s *setup) observer() kit.Observer {
	s.reg = prometheus.NewRegistry()
	return kit.Observer{
		Logger:   slog.New(slog.NewTextHandler(&s.logs, nil)),
		Tracer:   noop.NewTracerProvider().Tracer(""),
		Duration: kit.NewDuration(s.reg, "t"),
	}
}

// outcomes returns how often each outcome was measured.
func (s *setup) outcomes(t *testing.T) map[string]uint64 {
	t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" {
					got[l.GetValue()] += m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return got
}

// An observer that is empty observes nothing, and the rest of the list stays.
func TestWithoutAnObserverAnOperationRuns(t *testing.T) {
	t.Parallel()
	call := kit.Bind(kit.Observer{}, "o", kit.Limits{Deadline: time.Minute, Concurrency: 1},
		func(ctx context.Context, in int) (int, error) {
			if _, bounded := ctx.Deadline(); in < 0 || !bounded {
				panic("negative")
			}
			return in + 1, nil
		})
	if out, err := call(t.Context(), 1); out != 2 || err != nil {
		t.Error(out, err)
	}
	if out, err := call(t.Context(), -1); out != 0 || fault.Of(err).Code != "panic" {
		t.Error(out, err)
	}
}

// What an operation takes and gives may be an interface, and nil.
func TestNilValuesPass(t *testing.T) {
	t.Parallel()
	call := kit.Bind(
		kit.Observer{}, "o", kit.Limits{}, func(_ context.Context, in error) (error, error) { return in, nil },
	)
	if out, err := call(t.Context(), nil); out != nil || err != nil {
		t.Error(out, err)
	}
	failing := kit.Bind(kit.Observer{}, "o", kit.Limits{}, func(context.Context, int) (int, error) {
		return 7, errors.New("x")
	})
	if out, err := failing(t.Context(), 1); out != 0 || err == nil {
		t.Errorf("an output beside an error: %d, %v", out, err)
	}
}

// A panic is an error for the caller, and the operator sees where it was.
func TestAPanicIsAnsweredLoggedAndMeasured(t *testing.T) {
	t.Parallel()
	var s setup
	call := kit.Bind(s.observer(), "o", kit.Limits{Concurrency: 1},
		func(context.Context, int) (int, error) { panic("hunter2") })
	for range 2 { // the second finds its slot free
		_, err := call(t.Context(), 1)
		if f := fault.Of(err); f.Kind != fault.Internal || f.Code != "panic" || strings.Contains(f.Message, "hunter2") {
			t.Errorf("%+v", f)
		}
	}
	if logs := s.logs.String(); !strings.Contains(logs, "hunter2") || !strings.Contains(logs, "kit_test.go") {
		t.Errorf("the log does not say what and where: %s", logs)
	}
	if got := s.outcomes(t); got["internal"] != 2 {
		t.Error(got)
	}
}

func TestDeadlineAndOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s setup
		call := kit.Bind(s.observer(), "o", kit.Limits{Deadline: time.Minute}, func(
			ctx context.Context, in string,
		) (int, error) {
			switch in {
			case "slow":
				<-ctx.Done()
				return 0, ctx.Err()
			case "denied":
				return 0, fault.New(fault.Denied, "x", "no")
			case "foreign":
				return 0, errors.New("x")
			}
			return 1, nil
		})
		begin := time.Now()
		for _, in := range []string{"slow", "denied", "foreign", "fine"} {
			_, _ = call(t.Context(), in)
		}
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("took %v", took)
		}
		got := s.outcomes(t)
		for _, want := range []string{"timeout", "denied", "internal", "ok"} {
			if got[want] != 1 {
				t.Errorf("outcomes %v", got)
			}
		}
	})
}

func TestBeyondTheLimitCallsAreRejected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s setup
		release := make(chan struct{})
		call := kit.Bind(s.observer(), "o", kit.Limits{Concurrency: 1},
			func(context.Context, int) (int, error) { <-release; return 1, nil })
		go func() { _, _ = call(t.Context(), 1) }()
		synctest.Wait()
		_, err := call(t.Context(), 1)
		if f := fault.Of(err); f.Kind != fault.RateLimited || f.Code != "busy" || f.RetryAfter == 0 {
			t.Error(err)
		}
		close(release)
		synctest.Wait()
		if out, err := call(t.Context(), 1); out != 1 || err != nil {
			t.Error(out, err)
		}
	})
}
