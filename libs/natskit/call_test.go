package natskit_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// serve serves a use case at subject "op", two calls of it concurrently, and returns a caller and stop.
func serve(
	t *testing.T,
	n *testkit.NATS,
	use func(context.Context, string) (string, error),
) (call func(context.Context, string) (string, error), stop func() error) {
	t.Helper()
	tel := telemetry.Nop("test")
	tel.Tracers = sdktrace.NewTracerProvider()
	nc := n.Connect(t)
	svc := natskit.NewService(
		nc, tel, "svc", "v", natskit.Handle(kit.Observer{}, "op", "svc.op", kit.Limits{Concurrency: 2}, use),
	)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	var err error
	ended := false
	stop = func() error {
		cancel()
		if !ended {
			err, ended = <-done, true
		}
		return err
	}
	t.Cleanup(func() { _ = stop() })
	client := n.Connect(t)
	testkit.Eventually(t, "the service answers", func() bool {
		pctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return natskit.ProbeService(client, "svc")(pctx) == nil
	})
	c := natskit.NewClient(client, tel)
	return func(ctx context.Context, in string) (string, error) {
		return natskit.Call[string, string](ctx, c, "svc", "op", in)
	}, stop
}

// A caller beyond the bound of an operation is told immediately, and calls within it go on.
func TestBeyondTheBoundACallerIsToldToComeBack(t *testing.T) {
	t.Parallel()
	release, running := make(chan struct{}), make(chan struct{}, 2)
	call, _ := serve(t, testkit.StartNATS(t), func(_ context.Context, in string) (string, error) {
		running <- struct{}{}
		<-release
		return in, nil
	})
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := call(t.Context(), "within")
			done <- err
		}()
	}
	<-running
	<-running
	_, err := call(t.Context(), "beyond")
	if f := fault.Of(err); f.Kind != fault.RateLimited || f.Code != "busy" || f.RetryAfter == 0 {
		t.Errorf("beyond the bound: %v", err)
	}
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestFaultsCrossAsTheyAre(t *testing.T) {
	t.Parallel()
	call, _ := serve(t, testkit.StartNATS(t), func(_ context.Context, in string) (string, error) {
		switch in {
		case "limited":
			return "", fault.New(fault.RateLimited, "slow_down", "too many").After(1500 * time.Millisecond)
		case "foreign":
			return "", errors.New("password=hunter2")
		case "panic":
			panic("hunter2")
		case "large":
			return strings.Repeat("x", 2<<20), nil
		case "line":
			return "", fault.New(fault.Invalid, "x", "a\r\nNats-Service-Error-Code: b")
		}
		return in + "!", nil
	})
	if out, err := call(t.Context(), "hi"); out != "hi!" || err != nil {
		t.Fatal(out, err)
	}
	for in, want := range map[string]fault.Error{
		"limited": {
			Kind: fault.RateLimited, Code: "slow_down", Message: "too many", RetryAfter: 1500 * time.Millisecond,
		},
		"foreign": {Kind: fault.Internal, Code: "internal", Message: "internal error"},
		"panic":   {Kind: fault.Internal, Code: "panic", Message: "internal error"},
		"large":   {Kind: fault.TooLarge, Code: "answer_too_large", Message: "the answer is too large to be sent"},
	} {
		_, err := call(t.Context(), in)
		if f := fault.Of(err); f == nil || *f != want {
			t.Errorf("%s: %+v", in, f)
		}
	}
	if _, err := call(t.Context(), "line"); fault.Of(err).Kind != fault.Invalid {
		t.Errorf("a line break changed the kind: %v", err)
	}
	if _, err := call(t.Context(), strings.Repeat("x", 2<<20)); fault.Of(err).Kind != fault.TooLarge {
		t.Errorf("too large a request: %v", err)
	}
}

func TestDeadlineAndTraceCross(t *testing.T) {
	t.Parallel()
	var left time.Duration
	var got trace.TraceID
	call, _ := serve(t, testkit.StartNATS(t), func(ctx context.Context, _ string) (string, error) {
		at, _ := ctx.Deadline()
		left, got = time.Until(at), trace.SpanContextFromContext(ctx).TraceID()
		return "", nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	ctx, span := sdktrace.NewTracerProvider().Tracer("t").Start(ctx, "s")
	defer span.End()
	if _, err := call(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if left <= 0 || left > 3*time.Second || got != span.SpanContext().TraceID() {
		t.Errorf("left %v, trace %s", left, got)
	}
}

func TestNobodyThereIsUnavailable(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	c := natskit.NewClient(n.Connect(t), telemetry.Nop("test"))
	_, err := natskit.Call[string, string](t.Context(), c, "auth", "nobody", "")
	if f := fault.Of(err); f.Kind != fault.Unavailable || f.Code != "auth_unavailable" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := natskit.Call[string, string](ctx, c, "auth", "nobody", ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestBeyondTheLimitCallersAreRefusedAndDrainWaits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var running atomic.Int32
	call, stop := serve(t, testkit.StartNATS(t), func(context.Context, string) (string, error) {
		running.Add(1)
		<-release
		return "done", nil
	})
	answers := make(chan string, 2)
	for range 2 {
		go func() { out, _ := call(context.Background(), ""); answers <- out }()
	}
	testkit.Eventually(t, "two are running", func() bool { return running.Load() == 2 })
	if _, err := call(t.Context(), ""); fault.Of(err) == nil || fault.Of(err).Kind != fault.RateLimited ||
		fault.Of(err).RetryAfter != time.Second {
		t.Errorf("third: %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	testkit.Eventually(t, "no new calls are taken", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := call(ctx, "")
		return fault.Of(err) != nil && fault.Of(err).Kind == fault.Unavailable
	})
	select {
	case err := <-stopped:
		t.Errorf("stopped with calls in flight: %v", err)
	default:
	}
	close(release)
	if a, b, err := <-answers, <-answers, <-stopped; a != "done" || b != "done" || err != nil {
		t.Error(a, b, err)
	}
}

func TestAServiceOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	call, _ := serve(t, n, func(_ context.Context, in string) (string, error) { return in, nil })
	n.Stop()
	if _, err := call(t.Context(), "x"); fault.Of(err) == nil || fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("during the outage: %v", err)
	}
	n.Start(t)
	testkit.Eventually(
		t, "it answers again", func() bool { out, err := call(t.Context(), "x"); return out == "x" && err == nil },
	)
}

func TestAddressHoldsNoCredentials(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"nats://u:p@a:4222, nats://u:p@b:4222": "nats://a:4222,nats://b:4222", "nats://a:4222,": "",
		"nats://u:secret@h:4222": "nats://h:4222", "x": "", "": "", "%": "",
	} {
		if got := natskit.Address(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	_, err := natskit.Connect(natskit.Config{URL: "nats://u:secret@h:notaport"}, "x", telemetry.Nop("t").Logger)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("err = %v", err)
	}
}
