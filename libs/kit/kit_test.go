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

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
)

type setup struct {
	reg  *prometheus.Registry
	logs bytes.Buffer
}

func (s *setup) standard(l kit.Limits) []kit.Middleware {
	s.reg = prometheus.NewRegistry()
	return kit.Standard(
		kit.Observer{
			Logger:   slog.New(slog.NewTextHandler(&s.logs, nil)),
			Tracer:   noop.NewTracerProvider().Tracer(""),
			Duration: kit.NewDuration(s.reg, "t"),
		},
		l,
	)
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

func TestTheFirstMiddlewareIsTheOutermost(t *testing.T) {
	t.Parallel()
	var order []string
	mark := func(name string) kit.Middleware {
		return func(op string, next endpoint.Endpoint) endpoint.Endpoint {
			return func(ctx context.Context, in any) (any, error) {
				order = append(order, op+" "+name)
				return next(ctx, in)
			}
		}
	}
	op := kit.Lift("o", func(_ context.Context, in int) (int, error) { return in + 1, nil }, mark("a"), mark("b"))
	if out, err := op.Call(t.Context(), 1); out != 2 || err != nil || strings.Join(order, ",") != "o a,o b" {
		t.Error(out, err, order)
	}
	if _, err := op.Endpoint()(t.Context(), "no int"); err == nil {
		t.Error("a wrong request was taken")
	}
}

// A panic is an error for the caller, and the operator sees where it was.
func TestAPanicIsAnsweredLoggedAndMeasured(t *testing.T) {
	t.Parallel()
	var s setup
	op := kit.Lift(
		"o",
		func(context.Context, int) (int, error) { panic("hunter2") },
		s.standard(kit.Limits{Concurrency: 1})...)
	for range 2 { // the second finds its slot free
		_, err := op.Call(t.Context(), 1)
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
		op := kit.Lift("o", func(ctx context.Context, in string) (int, error) {
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
		}, s.standard(kit.Limits{Deadline: time.Minute})...)
		begin := time.Now()
		for _, in := range []string{"slow", "denied", "foreign", "fine"} {
			_, _ = op.Call(t.Context(), in)
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

func TestBeyondTheLimitCallsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s setup
		release := make(chan struct{})
		op := kit.Lift(
			"o",
			func(context.Context, int) (int, error) { <-release; return 1, nil },
			s.standard(kit.Limits{Concurrency: 1})...)
		go func() { _, _ = op.Call(t.Context(), 1) }()
		synctest.Wait()
		if _, err := op.Call(t.Context(), 1); fault.Of(err).Kind != fault.RateLimited || fault.Of(err).RetryAfter == 0 {
			t.Error(err)
		}
		close(release)
		synctest.Wait()
		if out, err := op.Call(t.Context(), 1); out != 1 || err != nil {
			t.Error(out, err)
		}
	})
}
