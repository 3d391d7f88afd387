package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// answers is a NoETL with an answer for each call; the last one is repeated. It remembers when it was called, and keys.
type answers struct {
	mu   sync.Mutex
	errs []error
	at   []time.Time
	keys []string
	n    []string
}

// Execute implements the port.
func (a *answers) Execute(_ context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.keys = append(a.at, time.Now()), append(a.keys, in.Dedup.Key)
	a.n = append(a.n, fmt.Sprint(in.Workload["n"]))
	err := a.errs[min(len(a.at), len(a.errs))-1]
	if err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	return noetlwire.ExecuteResponse{ExecutionID: noetlwire.ID(fmt.Sprint(len(a.at)))}, nil
}

// Status implements the port.
func (*answers) Status(context.Context, string) (noetlwire.Execution, error) {
	return noetlwire.Execution{}, nil
}

func status(kind fault.Kind, code int) error {
	return fault.New(kind, fmt.Sprintf("noetl_%d", code), "NoETL: no")
}

func later(kind fault.Kind, code int) error {
	return fault.Of(status(kind, code)).After(20 * time.Second)
}

// pumping runs a test with an ingress that pulls what it dispatches.
func pumping(t *testing.T, errs []error, test func(t *testing.T, w *world, a *answers)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(), &answers{errs: errs}
		w.Dispatcher = a
		w.inbox.HandleWith(nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { _ = w.Follow(ctx) })
		wait.Go(func() { _ = w.Pump(ctx) })
		test(t, w, a)
		cancel()
		wait.Wait()
	})
}

func state(t *testing.T, w *world, id string) ingress.Record {
	t.Helper()
	r, _, err := w.inbox.Recall(t.Context(), "hook", id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What an answer of NoETL means for a delivery: another attempt, and when, or none.
func TestWhatAnAnswerMeans(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		dead     bool
		earliest time.Duration
	}{
		"400":               {status(fault.Invalid, 400), true, 0},
		"404":               {status(fault.NotFound, 404), true, 0},
		"413":               {status(fault.TooLarge, 413), true, 0},
		"415":               {status(fault.BadGateway, 415), true, 0},
		"422":               {status(fault.Invalid, 422), true, 0},
		"401":               {status(fault.BadGateway, 401), false, 0},
		"403":               {status(fault.Denied, 403), false, 0},
		"408":               {status(fault.BadGateway, 408), false, 0},
		"409":               {status(fault.Conflict, 409), false, 0},
		"425":               {status(fault.BadGateway, 425), false, 0},
		"429":               {status(fault.RateLimited, 429), false, 0},
		"429 with a time":   {later(fault.RateLimited, 429), false, 20 * time.Second},
		"503 with a time":   {later(fault.Unavailable, 503), false, 20 * time.Second},
		"500":               {status(fault.BadGateway, 500), false, 0},
		"nobody there":      {fault.New(fault.BadGateway, noetlwire.CodeUnreachable, "x"), false, 0},
		"too late":          {fault.New(fault.Timeout, "noetl_timeout", "x"), false, 0},
		"garbage":           {fault.New(fault.BadGateway, "noetl_bad_answer", "x"), false, 0},
		"not to be written": {fault.New(fault.Invalid, "bad_workload", "x"), true, 0},
	} {
		pumping(t, []error{c.err, nil}, func(t *testing.T, w *world, a *answers) {
			t.Helper()
			out, err := w.Deliver(t.Context(), hook("m1"))
			if err != nil || out.DeliveryID == "" {
				t.Fatalf("%s: %+v %v", name, out, err)
			}
			if r := state(t, w, out.DeliveryID); (r.State == ingresswire.Dead) != c.dead || len(r.Made) != 1 {
				t.Errorf("%s: %s after %d attempts", name, r.State, len(r.Made))
			}
			<-time.After(time.Minute)
			synctest.Wait()
			r := state(t, w, out.DeliveryID)
			if c.dead {
				if len(a.at) != 1 {
					t.Errorf("%s: a dead one is tried again", name)
				}
				return
			}
			if r.State != ingresswire.Dispatched || r.ExecutionID != "2" || len(a.at) != 2 || a.keys[0] != a.keys[1] {
				t.Fatalf("%s: %s after %d attempts with %v", name, r.State, len(a.at), a.keys)
			}
			if took := a.at[1].Sub(a.at[0]); took < max(c.earliest, time.Second/2) || took > c.earliest+2*time.Second {
				t.Errorf("%s: the second attempt follows after %v", name, took)
			}
		})
	}
}

// The attempts end: by number, and by time.
func TestAttemptsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		retry ingress.RetryConfig
		least int
		most  int
	}{
		"by number": {ingress.RetryConfig{MaxAttempts: 4}, 4, 4},
		"by time":   {ingress.RetryConfig{MaxAttempts: 1000, Expire: time.Minute, MaxDelay: 2 * time.Second}, 20, 90},
	} {
		pumping(t, []error{status(fault.Conflict, 409)}, func(t *testing.T, w *world, _ *answers) {
			t.Helper()
			in := hook("m1")
			in.Found = ingress.NewListener(ingress.ListenerConfig{
				Name: "hook", Playbook: "p", Retry: c.retry,
				Verify: ingress.VerifyConfig{Type: "bearer", Secrets: []ingress.SecretConfig{{Value: secret}}},
			})
			out, err := w.Service.Deliver(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour)
			synctest.Wait()
			r := state(t, w, out.DeliveryID)
			if r.State != ingresswire.Dead || r.Attempts < c.least || r.Attempts > c.most || len(r.Made) > 20 ||
				r.Reason != "noetl_409" {
				t.Errorf("%s: %s after %d attempts, %d kept, %s", name, r.State, r.Attempts, len(r.Made), r.Reason)
			}
		})
	}
}

// During an outage deliveries wait and use up no attempts; when it ends all are dispatched.
func TestAnOutageUsesUpNoAttempts(t *testing.T) {
	errs := slices.Repeat([]error{fault.New(fault.BadGateway, noetlwire.CodeUnreachable, "x")}, 30)
	pumping(t, append(errs, nil), func(t *testing.T, w *world, a *answers) {
		t.Helper()
		ids := map[string]bool{}
		for i := range 50 {
			out, err := w.Deliver(t.Context(), hook(fmt.Sprint("m", i)))
			if err != nil || out.DeliveryID == "" {
				t.Fatalf("%+v %v", out, err)
			}
			ids[out.DeliveryID] = true
		}
		<-time.After(2 * time.Hour)
		synctest.Wait()
		for id := range ids {
			if r := state(t, w, id); r.State != ingresswire.Dispatched {
				t.Errorf("%s: %s after %d attempts", id, r.State, r.Attempts)
			}
		}
		if n := len(a.at); n != 80 {
			t.Errorf("NoETL was asked %d times", n)
		}
	})
}

// An outcome that cannot be recorded is not told and not forgotten, and starts nothing twice.
func TestAnOutcomeIsRecordedBeforeItIsTold(t *testing.T) {
	pumping(t, []error{nil}, func(t *testing.T, w *world, a *answers) {
		t.Helper()
		w.inbox.FailOnly("Record", errors.New("NATS is unavailable"))
		out, err := w.Deliver(t.Context(), hook("m1"))
		if err != nil || out.DeliveryID == "" {
			t.Fatalf("%+v %v", out, err)
		}
		<-time.After(3 * time.Minute)
		w.inbox.FailOnly("Record", nil)
		<-time.After(3 * time.Minute)
		synctest.Wait()
		r := state(t, w, out.DeliveryID)
		if r.State != ingresswire.Dispatched || r.ExecutionID != "1" || len(a.at) != 1 {
			t.Errorf("%s %s, NoETL was asked %d times", r.State, r.ExecutionID, len(a.at))
		}
	})
}

// A redrive begins the attempts again; a second one for the same delivery starts nothing.
func TestRedrivingStartsOnce(t *testing.T) {
	pumping(t, []error{status(fault.NotFound, 404), nil}, func(t *testing.T, w *world, a *answers) {
		t.Helper()
		out, err := w.Deliver(t.Context(), hook("m1"))
		if err != nil {
			t.Fatal(err)
		}
		all, err := w.RedriveAll(t.Context(), ingresswire.RedriveAllRequest{Listener: "hook", Config: "current"})
		if err != nil || all.Redriven != 1 {
			t.Errorf("%+v %v", all, err)
		}
		_, _ = w.Redrive(t.Context(), ingresswire.RedriveRequest{ID: out.DeliveryID})
		<-time.After(time.Minute)
		synctest.Wait()
		r := state(t, w, out.DeliveryID)
		if r.State != ingresswire.Dispatched || len(a.at) != 2 || len(r.Made) != 2 || !r.Made[1].Redriven {
			t.Errorf("%+v, NoETL was asked %d times", r, len(a.at))
		}
	})
}

// What was discarded is not dispatched, though it is still queued.
func TestADiscardedDeliveryIsNotDispatched(t *testing.T) {
	pumping(t, []error{status(fault.Conflict, 409), nil}, func(t *testing.T, w *world, a *answers) {
		t.Helper()
		out, err := w.Deliver(t.Context(), hook("m1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Discard(t.Context(), ingresswire.DiscardRequest{ID: out.DeliveryID}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if r := state(t, w, out.DeliveryID); r.State != ingresswire.Discarded || len(a.at) != 1 {
			t.Errorf("%s, NoETL was asked %d times", r.State, len(a.at))
		}
	})
}

// What was discarded while its listener was paused is not dispatched when that is resumed.
func TestADiscardedDeliveryIsNotResumed(t *testing.T) {
	pumping(t, []error{nil}, func(t *testing.T, w *world, a *answers) {
		t.Helper()
		if _, err := w.Pause(t.Context(), ingresswire.ListenerRequest{Listener: "hook"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		out, err := w.Deliver(t.Context(), hook("m1"))
		if err != nil || out.DeliveryID == "" {
			t.Fatalf("%+v %v", out, err)
		}
		<-time.After(time.Minute)
		if _, err := w.Discard(t.Context(), ingresswire.DiscardRequest{ID: out.DeliveryID}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Resume(t.Context(), ingresswire.ListenerRequest{Listener: "hook"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if r := state(t, w, out.DeliveryID); r.State != ingresswire.Discarded || len(a.at) != 0 {
			t.Errorf("%s, NoETL was asked %d times", r.State, len(a.at))
		}
	})
}

// slow is a NoETL that does something with the delivery before it answers.
type slow struct {
	*answers

	meanwhile func(id string)
}

// Execute implements the port.
func (s slow) Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	s.meanwhile(strings.TrimSuffix(strings.TrimPrefix(in.Dedup.Key, "hook:"), ".0"))
	return s.answers.Execute(ctx, in)
}

// An attempt that fails after the delivery was discarded does not bring it back. One that started it is recorded.
func TestADeliveryIsDiscardedDuringAnAttempt(t *testing.T) {
	for want, failure := range map[ingresswire.State]error{
		ingresswire.Discarded:  status(fault.Conflict, 409),
		ingresswire.Dispatched: nil,
	} {
		pumping(t, []error{failure, nil}, func(t *testing.T, w *world, a *answers) {
			t.Helper()
			discarded := ""
			w.Dispatcher = slow{a, func(id string) {
				discarded = id
				if _, err := w.Discard(t.Context(), ingresswire.DiscardRequest{ID: id}); err != nil {
					t.Error(err)
				}
			}}
			if _, err := w.Deliver(t.Context(), hook("m1")); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour)
			synctest.Wait()
			if r := state(t, w, discarded); r.State != want || len(a.at) != 1 {
				t.Errorf("%s, want %s; NoETL was asked %d times", r.State, want, len(a.at))
			}
		})
	}
}

// lateRecords are records that an operator's process writes late.
type lateRecords struct{ ingress.Records }

// Record implements the port.
func (l lateRecords) Record(ctx context.Context, r ingress.Record) (uint64, error) {
	if r.Redriven && len(r.Made) == 1 && r.State == ingresswire.Waiting {
		<-time.After(10 * time.Second)
	}
	return l.Records.Record(ctx, r)
}

// A discarded delivery is redriven, though its redrive is pulled before it is recorded.
func TestADiscardedDeliveryIsRedriven(t *testing.T) {
	pumping(t, []error{status(fault.NotFound, 404), nil}, func(t *testing.T, w *world, a *answers) {
		t.Helper()
		out, err := w.Deliver(t.Context(), hook("m1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Discard(t.Context(), ingresswire.DiscardRequest{ID: out.DeliveryID}); err != nil {
			t.Fatal(err)
		}
		w.Records = lateRecords{w.Records}
		if _, err := w.Redrive(t.Context(), ingresswire.RedriveRequest{ID: out.DeliveryID}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if r := state(t, w, out.DeliveryID); r.State != ingresswire.Dispatched || len(a.at) != 2 {
			t.Errorf("%s, NoETL was asked %d times", r.State, len(a.at))
		}
	})
}

// A name that is misspelled is told, and does not look like a listener without dead deliveries.
func TestRedrivingAnUnknownListener(t *testing.T) {
	pumping(t, []error{nil}, func(t *testing.T, w *world, _ *answers) {
		t.Helper()
		_, err := w.RedriveAll(t.Context(), ingresswire.RedriveAllRequest{Listener: "nobody"})
		if kind, _ := fault.KindOf(err); kind != fault.NotFound {
			t.Errorf("%v", err)
		}
		if _, err := w.RedriveAll(t.Context(), ingresswire.RedriveAllRequest{Listener: "hook"}); err != nil {
			t.Error(err)
		}
	})
}
