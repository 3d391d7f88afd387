package ingress_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

func hook(id string) ingress.DeliverRequest {
	headers := map[string][]string{"authorization": {secret}}
	if id != "" {
		headers["x-message-id"] = []string{id}
	}
	return ingress.DeliverRequest{Listener: "hook", Headers: headers, Body: []byte(`{}`)}
}

func TestARepetitionGetsTheFirstOnesAnswer(t *testing.T) {
	w := newWorld()
	first, err := w.Deliver(t.Context(), hook("m1"))
	if err != nil || first.ExecutionID == "" {
		t.Fatal(first, err)
	}
	again, err := w.Deliver(t.Context(), hook("m1"))
	if err != nil || again != first || len(w.noetl.Started()) != 1 {
		t.Errorf("%+v, then %+v %v; %d started", first, again, err, len(w.noetl.Started()))
	}
	if other, err := w.Deliver(t.Context(), hook("m2")); err != nil || other == first {
		t.Errorf("another id: %+v %v", other, err)
	}
	for range 2 { // the same bytes without an id are two deliveries
		if _, err := w.Deliver(t.Context(), hook("")); err != nil {
			t.Fatal(err)
		}
	}
	keys := map[string]bool{}
	for _, started := range w.noetl.Started() {
		if started.Dedup == nil || started.Dedup.WindowSecs != 7*24*3600 {
			t.Fatalf("NoETL was not told: %+v", started.Dedup)
		}
		keys[started.Dedup.Key] = true
	}
	if len(keys) != 4 {
		t.Errorf("%d keys, want 4: %v", len(keys), keys)
	}
}

// The same id with other bytes starts nothing, is answered as the first one, and can be seen.
func TestOtherBytesUnderTheSameIDConflict(t *testing.T) {
	w := newWorld()
	first, err := w.Deliver(t.Context(), hook("m1"))
	if err != nil {
		t.Fatal(err)
	}
	other := hook("m1")
	other.Body = []byte(`{"n":2}`)
	again, err := w.Deliver(t.Context(), other)
	if err != nil || again != first || len(w.noetl.Started()) != 1 {
		t.Errorf("%+v, then %+v %v; %d started", first, again, err, len(w.noetl.Started()))
	}
	kept := w.inbox.Rejected()
	if len(kept) != 1 || kept[0].State != ingresswire.Conflicting || kept[0].ConflictsWith == "" ||
		string(kept[0].Body) != `{"n":2}` || kept[0].Headers["authorization"] != "***" {
		t.Errorf("%+v", kept)
	}
}

// What is not genuine is kept for whoever asks why, without its credentials.
func TestARejectedDeliveryIsKept(t *testing.T) {
	w := newWorld()
	bad := hook("m1")
	bad.Headers["authorization"] = []string{"a guess"}
	bad.Body = make([]byte, 5000)
	if got := w.reason(t, bad); got != ingress.BadToken {
		t.Fatal(got)
	}
	kept := w.inbox.Rejected()
	if len(kept) != 1 || kept[0].State != ingresswire.Rejected || kept[0].Reason != "bad_token" ||
		len(kept[0].Body) != 4096 || !kept[0].Truncated || kept[0].Bytes != 5000 ||
		kept[0].Headers["authorization"] != "***" || kept[0].Headers["x-message-id"] != "m1" {
		t.Errorf("%+v", kept)
	}
}

// Nothing is dispatched that is not stored.
func TestWhatCannotBeStoredStartsNothing(t *testing.T) {
	for _, method := range []string{"Store", "PutVersion", "Change"} {
		w := newWorld()
		w.inbox.FailOnly(method, errors.New("NATS is unavailable"))
		for _, id := range []string{"m1", ""} {
			if got := w.reason(t, hook(id)); got != ingress.DispatchError {
				t.Errorf("%s, %q: %q", method, id, got)
			}
		}
		if n := len(w.noetl.Started()); n != 0 {
			t.Errorf("%s: %d started", method, n)
		}
	}
}

// Without room a delivery is not lost: its sender has it, and is told when to come again.
func TestWithoutRoomADeliveryIsRefused(t *testing.T) {
	w := newWorld()
	w.inbox.FailOnly("Store", ingress.InboxFull(errors.New("maximum bytes exceeded")))
	_, err := w.Deliver(t.Context(), hook("m1"))
	if f := fault.Of(err); f == nil || f.Kind != fault.RateLimited || f.Code != string(ingress.RateLimited) ||
		f.RetryAfter != time.Minute {
		t.Errorf("%v", err)
	}
}

// What happens to each of thousands of deliveries a second is not a line of the log each.
func TestAFullInboxIsToldOnceInAWhile(t *testing.T) {
	w := newWorld()
	var log bytes.Buffer
	w.Logger = slog.New(slog.NewTextHandler(&log, nil))
	w.inbox.FailOnly("Store", ingress.InboxFull(errors.New("maximum bytes exceeded")))
	for i := range 100 {
		_, _ = w.Deliver(t.Context(), hook(strconv.Itoa(i)))
	}
	if n := strings.Count(log.String(), "no room to store"); n != 1 {
		t.Errorf("%d lines for 100 deliveries", n)
	}
}

// slowStart is a NoETL that takes its time.
type slowStart struct {
	ingress.Dispatcher

	calls   atomic.Int32
	release chan struct{}
}

// Execute implements the port.
func (s *slowStart) Execute(ctx context.Context, _ noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	s.calls.Add(1)
	select {
	case <-s.release:
		return noetlwire.ExecuteResponse{ExecutionID: "7"}, nil
	case <-ctx.Done():
		return noetlwire.ExecuteResponse{}, ctx.Err()
	}
}

func TestRepetitionsOfADeliveryThatIsBeingDispatchedWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, slow := newWorld(), &slowStart{release: make(chan struct{})}
		w.Dispatcher = slow
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if out, err := w.Deliver(t.Context(), hook("m1")); err != nil || out.ExecutionID != "7" {
					t.Errorf("%+v %v", out, err)
				}
			})
		}
		<-time.After(3 * time.Second) // the clock of the synctest bubble
		close(slow.release)
		wg.Wait()
		if n := slow.calls.Load(); n != 1 {
			t.Errorf("started %d times", n)
		}
	})
}

// A sender whose patience is over is answered with the id of its delivery, which waits; later it has an execution.
func TestNobodyIsKeptWaitingLongerThanTheirPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, slow := newWorld(), &slowStart{release: make(chan struct{})}
		w.Dispatcher = slow
		begin := time.Now()
		out, err := w.Deliver(t.Context(), hook("m1"))
		if err != nil || out.DeliveryID == "" || out.ExecutionID != "" || time.Since(begin) != 8*time.Second {
			t.Errorf("after %v: %+v %v", time.Since(begin), out, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin = time.Now()
		again, err := w.Deliver(ctx, hook("m1"))
		if err != nil || again != out || time.Since(begin) != 2500*time.Millisecond {
			t.Errorf("a repetition after %v: %+v %v", time.Since(begin), again, err)
		}
		r, found, err := w.inbox.Recall(t.Context(), "hook", out.DeliveryID)
		if err != nil || !found || r.State != ingresswire.Waiting {
			t.Errorf("%+v", r)
		}
		close(slow.release)
		synctest.Wait()
		if again, err := w.Deliver(t.Context(), hook("m1")); err != nil || again.ExecutionID != "7" {
			t.Errorf("at last: %+v %v", again, err)
		}
	})
}

// A listener's own patience counts, and a paused one answers immediately.
func TestPatience(t *testing.T) {
	for name, c := range map[string]struct {
		config ingress.ListenerConfig
		want   time.Duration
	}{
		"its own": {ingress.ListenerConfig{Patience: 2 * time.Second}, 2 * time.Second},
		"paused":  {ingress.ListenerConfig{Patience: 2 * time.Second, Paused: true}, 0},
		"default": {ingress.ListenerConfig{}, 8 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, slow := newWorld(), &slowStart{release: make(chan struct{})}
			w.Dispatcher = slow
			defer close(slow.release)
			c.config.Name, c.config.Playbook = "l", "p"
			c.config.Verify = ingress.VerifyConfig{Type: "bearer", Secrets: []ingress.SecretConfig{{Value: secret}}}
			in := hook("m1")
			in.Listener, in.Found = "l", ingress.NewListener(c.config)
			begin := time.Now()
			out, err := w.Service.Deliver(t.Context(), in)
			if err != nil || out.DeliveryID == "" || time.Since(begin) != c.want {
				t.Errorf("%s: after %v, %+v %v", name, time.Since(begin), out, err)
			}
		})
	}
}

// Who reads the disk of NATS learns no credential.
func TestCredentialsAreNotStored(t *testing.T) {
	w := newWorld()
	out, err := w.Deliver(t.Context(), hook("m1"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.inbox.Load(t.Context(), 1)
	if err != nil || out.ExecutionID == "" {
		t.Fatal(d, err, out)
	}
	if got := d.Headers["authorization"]; len(got) != 1 || got[0] != "***" || d.Headers["x-message-id"][0] != "m1" {
		t.Errorf("%v", d.Headers)
	}
}
