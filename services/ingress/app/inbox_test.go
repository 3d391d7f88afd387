package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/app"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

// replica starts one more ingress on the same NATS and NoETL, and returns its address and what ends it.
func (w *world) replica(settings ...string) (address string, stop func()) {
	w.t.Helper()
	cfg, err := app.Load(append([]string{
		"GATEWAY_PORT=0", "GATEWAY_BIND=127.0.0.1", "NOETL_BASE_URL=" + w.server.URL,
		"NOETL_INTERNAL_API_TOKEN=" + ingresstest.Token,
	}, settings...))
	if err != nil {
		w.t.Fatal(err)
	}
	tel := telemetry.Nop("ingress")
	host := run.Host{Telemetry: tel, NATS: w.nats.Connect(w.t), Health: &httpkit.Health{}}
	a, err := app.New(w.t.Context(), cfg, host)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run.All(ctx, tel.Logger, run.DrainTimeout, a.Components()...) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(end)
	return a.Ready().Public, end
}

// hook sends a delivery to the listener "hook" and returns the members of the answer.
func (w *world) hook(id, text string) (status int, answer map[string]string) {
	w.t.Helper()
	headers := []string{"Authorization", "Bearer " + ingresstest.Secret}
	if id != "" {
		headers = append(headers, "X-Message-Id", id)
	}
	status, body := w.send("POST", "/ingress/hook", text, headers...)
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		w.t.Fatal(status, body)
	}
	return status, answer
}

func ask[In, Out any](w *world, subject string, in In) (Out, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	return natskit.Call[In, Out](ctx, natskit.NewClient(w.conn, telemetry.Nop("test")), "ingress", subject, in)
}

func (w *world) delivery(id string) ingresswire.Detail {
	w.t.Helper()
	out, err := ask[ingresswire.DeliveryRequest, ingresswire.Detail](w, ingresswire.SubjectDelivery,
		ingresswire.DeliveryRequest{ID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) becomes(id string, state ingresswire.State) {
	w.t.Helper()
	testkit.Eventually(w.t, id+" becomes "+string(state), func() bool { return w.delivery(id).State == state })
}

func payloads(started []noetlwire.ExecuteRequest) []string {
	var out []string
	for _, s := range started {
		out = append(out, fmt.Sprint(s.Workload["n"]))
	}
	return out
}

func TestADeliveryThatNoETLWillNeverStartIsDeadUntilItIsRedriven(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.noetl.FailExecute(fault.New(fault.NotFound, "x", "no such playbook"))
	status, answer := w.hook("m1", `{"n":1}`)
	id := answer["delivery_id"]
	if status != 202 || id == "" {
		t.Fatal(status, answer)
	}
	w.becomes(id, ingresswire.Dead)
	d := w.delivery(id)
	if len(d.AttemptsMade) != 1 || d.AttemptsMade[0].Status != 404 || d.Body != `{"n":1}` ||
		d.Headers["authorization"] != "***" || d.Headers["x-message-id"] != "m1" || d.MessageID != "m1" {
		t.Errorf("%+v", d)
	}
	w.noetl.FailExecute(nil)
	for _, c := range []string{"nonsense", "original"} {
		_, err := ask[ingresswire.RedriveRequest, ingresswire.Empty](w, ingresswire.SubjectRedrive,
			ingresswire.RedriveRequest{ID: id, Config: c, Actor: "somebody"})
		if (err == nil) != (c == "original") {
			t.Fatalf("%s: %v", c, err)
		}
	}
	w.becomes(id, ingresswire.Dispatched)
	if status, again := w.hook("m1", `{"n":1}`); status != 202 || again["execution_id"] != ingresstest.FirstExecution {
		t.Errorf("%d %v", status, again)
	}
	if _, err := ask[ingresswire.RedriveRequest, ingresswire.Empty](w, ingresswire.SubjectRedrive,
		ingresswire.RedriveRequest{ID: id}); fault.Of(err) == nil || fault.Of(err).Kind != fault.Conflict {
		t.Errorf("one that has an execution: %v", err)
	}
	if n := len(w.noetl.Started()); n != 1 {
		t.Errorf("%d started", n)
	}
}

func TestAPausedListenerKeepsItsDeliveries(t *testing.T) {
	t.Parallel()
	w := boot(t)
	if status, answer := w.hook("", `{"n":0}`); status != 202 || answer["execution_id"] == "" {
		t.Fatal(status, answer)
	}
	set := func(subject string) {
		t.Helper()
		if _, err := ask[ingresswire.ListenerRequest, ingresswire.Empty](w, subject,
			ingresswire.ListenerRequest{Listener: "hook", Actor: "somebody"}); err != nil {
			t.Fatal(err)
		}
	}
	set(ingresswire.SubjectPause)
	begin := time.Now()
	for i := range 3 {
		if status, answer := w.hook("", fmt.Sprintf(`{"n":%d}`, i+1)); status != 202 || answer["delivery_id"] == "" {
			t.Fatal(status, answer)
		}
	}
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("a paused listener's senders are kept waiting: %v", took)
	}
	listed, err := ask[ingresswire.DeliveriesRequest, ingresswire.DeliveriesResponse](w, ingresswire.SubjectDeliveries,
		ingresswire.DeliveriesRequest{Listener: "hook", State: ingresswire.Waiting})
	if err != nil || len(listed.Deliveries) != 3 {
		t.Errorf("%+v %v", listed, err)
	}
	overview, err := ask[ingresswire.Empty, ingresswire.ListenersResponse](w, ingresswire.SubjectListeners,
		ingresswire.Empty{})
	if err != nil || len(overview.Listeners) != 1 || !overview.Listeners[0].Paused ||
		overview.Listeners[0].Waiting != 3 || overview.Listeners[0].Dispatched != 1 ||
		overview.Listeners[0].OldestWaitingSeconds <= 0 {
		t.Errorf("%+v %v", overview, err)
	}
	if n := len(w.noetl.Started()); n != 1 {
		t.Errorf("%d started while it is paused", n)
	}
	set(ingresswire.SubjectResume)
	testkit.Eventually(t, "they are dispatched", func() bool { return len(w.noetl.Started()) == 4 })
}

// Two replicas and a NoETL that recognises keys: whichever ends, nothing is lost and nothing starts twice.
func TestNothingIsLostOrStartedTwiceWhenAReplicaOrNATSEnds(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.noetl.Recognise()
	other, stop := w.replica()
	first := w.url
	var mu sync.Mutex
	accepted := 0
	send := func(n int) {
		for i := range n {
			w.url = first
			if i%2 == 1 {
				w.url = other
			}
			if status, _ := w.hook(fmt.Sprint("m", accepted), fmt.Sprintf(`{"n":%d}`, accepted)); status == 202 {
				mu.Lock()
				accepted++
				mu.Unlock()
			}
		}
	}
	send(20)
	w.noetl.FailExecute(fault.New(fault.Unavailable, "x", "x"))
	send(10)
	stop()
	w.url = first
	w.nats.Stop()
	if status, answer := w.hook("lost", `{"n":"lost"}`); status != 502 || answer["reason"] != "dispatch_error" {
		t.Errorf("without NATS: %d %v", status, answer)
	}
	w.nats.Start(t)
	w.noetl.FailExecute(nil)
	testkit.Eventually(t, "it stores again", func() bool {
		status, _ := w.hook("after", `{"n":"after"}`)
		return status == 202
	})
	// The connection of the test may have sent after the outage what was answered with 502: it starts once as well.
	started := func() []string {
		return slices.DeleteFunc(payloads(w.noetl.Started()), func(n string) bool { return n == "lost" })
	}
	begin := time.Now()
	for time.Since(begin) < 40*time.Second && len(started()) < accepted+1 {
		<-time.After(50 * time.Millisecond)
	}
	got := started()
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != len(got) || len(got) != accepted+1 {
		t.Errorf("%d accepted, %d started: %v", accepted+1, len(got), got)
	}
}

// An answer "duplicate" for an execution that does not exist is none: the next key is tried. One that exists is it.
func TestADuplicateIsBelievedOnlyIfItsExecutionExists(t *testing.T) {
	t.Parallel()
	for exists, want := range map[bool]string{true: "77", false: ingresstest.FirstExecution} {
		w := boot(t)
		w.noetl.AnswerExecute(noetlwire.ExecuteResponse{ExecutionID: "77", Status: "duplicate"}, exists)
		if status, answer := w.hook("m1", `{}`); status != 202 || answer["execution_id"] != want {
			t.Errorf("it exists: %v: %d %v", exists, status, answer)
		}
		if started := w.noetl.Started(); !exists && !strings.HasSuffix(started[0].Dedup.Key, ".1") {
			t.Errorf("the key is %s", started[0].Dedup.Key)
		}
	}
}

// A garbled answer is no reason to lose a delivery.
func TestAGarbledAnswerIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.noetl.AnswerExecute(noetlwire.ExecuteResponse{ExecutionID: "", Status: "?"}, true)
	status, answer := w.hook("m1", `{}`)
	if status != 202 || answer["delivery_id"] == "" {
		t.Fatal(status, answer)
	}
	w.becomes(answer["delivery_id"], ingresswire.Dispatched)
	if d := w.delivery(answer["delivery_id"]); d.Attempts != 2 || d.AttemptsMade[0].Code != "noetl_bad_answer" {
		t.Errorf("%+v", d)
	}
}

// A listener that is flooded while NoETL is slow does not delay another.
func TestAFloodedListenerDoesNotDelayAnother(t *testing.T) {
	t.Parallel()
	w := boot(t, "INGRESS_PATIENCE_SECS=1", "INGRESS_DISPATCHES_MAX=100", "INGRESS_LISTENER_TTL_SECS=60")
	release, entered := w.noetl.HoldExecute()
	var wait sync.WaitGroup
	for range 90 {
		wait.Go(func() { w.send("POST", "/ingress/orders", body, "X-Signature", sign(body)) })
	}
	for range 64 { // all that it may have
		<-entered
	}
	wait.Go(func() { w.hook("", `{}`) })
	select {
	case <-entered:
	case <-time.After(5 * time.Second):
		t.Error("the other listener's delivery waits")
	}
	release()
	wait.Wait()
	testkit.Eventually(t, "all are dispatched", func() bool { return len(w.noetl.Started()) == 91 })
}

// What operators watch comes as it happens, and what was rejected can be looked at.
func TestTheLiveTailAndRejectedDeliveries(t *testing.T) {
	t.Parallel()
	w := boot(t)
	events := make(chan ingresswire.Delivery, 10)
	sub, err := w.conn.Subscribe(ingresswire.SubjectEvents+"*", func(m *nats.Msg) {
		var d ingresswire.Delivery
		if err := json.Unmarshal(m.Data, &d); err != nil {
			t.Error(err)
		}
		events <- d
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	w.hook("m1", `{"n":1}`)
	w.hook("m1", `{"n":2}`)
	w.send("POST", "/ingress/hook", `{}`, "Authorization", "Bearer a-guess")
	seen := map[ingresswire.State]string{}
	for len(seen) < 3 {
		select {
		case d := <-events:
			seen[d.State] = d.ID
		case <-time.After(10 * time.Second):
			t.Fatalf("heard of %v", seen)
		}
	}
	for _, state := range []ingresswire.State{ingresswire.Rejected, ingresswire.Conflicting} {
		testkit.Eventually(t, string(state)+" is listed", func() bool {
			out, err := ask[ingresswire.DeliveriesRequest, ingresswire.DeliveriesResponse](w,
				ingresswire.SubjectDeliveries, ingresswire.DeliveriesRequest{State: state})
			return err == nil && len(out.Deliveries) == 1 && out.Deliveries[0].ID == seen[state]
		})
	}
	if d := w.delivery(seen[ingresswire.Conflicting]); d.Body != `{"n":2}` || d.ConflictsWith == "" {
		t.Errorf("%+v", d)
	}
	all, err := ask[ingresswire.DeliveriesRequest, ingresswire.DeliveriesResponse](w, ingresswire.SubjectDeliveries,
		ingresswire.DeliveriesRequest{})
	if err != nil || len(all.Deliveries) != 3 {
		t.Errorf("%+v %v", all, err)
	}
}

// A thousand senders whose workflows NoETL takes long to start are all answered, and their bodies are not kept.
func TestAThousandWaitingSendersTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds and much of the machine")
	}
	w := boot(t, "INGRESS_PATIENCE_SECS=4", "INGRESS_LISTENER_TTL_SECS=60", "INGRESS_MAX_BODY_BYTES=1000000",
		"INGRESS_RATE_LISTENER_PER_MIN=0")
	release, _ := w.noetl.HoldExecute()
	defer release()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	text := `{"n":"` + strings.Repeat("x", 2000) + `"}`
	js := w.nats.JetStream(t)
	before := memory()
	var wait sync.WaitGroup
	answers := make(chan int, 1000)
	for range 1000 {
		wait.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/ingress/hook", strings.NewReader(text))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+ingresstest.Secret)
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			answers <- resp.StatusCode
		})
	}
	testkit.Eventually(t, "all are stored", func() bool {
		stream, err := js.Stream(t.Context(), "GATEWAY_DELIVERIES")
		return err == nil && stream.CachedInfo().State.Msgs == 1000
	})
	grown := memory() - before
	wait.Wait()
	close(answers)
	counts := map[int]int{}
	for code := range answers {
		counts[code]++
	}
	if counts[202] != 1000 {
		t.Errorf("answers: %v", counts)
	}
	t.Logf("heap grew by %d KiB", grown>>10)
	if grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What was discarded while its listener was paused is not dispatched when it goes on.
func TestADiscardedDeliveryIsNotDispatchedAfterAPause(t *testing.T) {
	t.Parallel()
	w := boot(t)
	turn := func(subject string) {
		t.Helper()
		testkit.Eventually(t, subject+" is answered", func() bool { // the service may be about to start
			_, err := ask[ingresswire.ListenerRequest, ingresswire.Empty](w, subject,
				ingresswire.ListenerRequest{Listener: "hook", Actor: "somebody"})
			return err == nil
		})
	}
	turn(ingresswire.SubjectPause)
	_, first := w.hook("m1", `{"n":1}`)
	_, second := w.hook("m2", `{"n":2}`)
	w.becomes(first["delivery_id"], ingresswire.Waiting)
	begin := time.Now()
	testkit.Eventually(t, "they have waited for a while", func() bool { return time.Since(begin) > time.Second })
	_, err := ask[ingresswire.DiscardRequest, ingresswire.Empty](w, ingresswire.SubjectDiscard,
		ingresswire.DiscardRequest{ID: first["delivery_id"], Actor: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	turn(ingresswire.SubjectResume)
	w.becomes(second["delivery_id"], ingresswire.Dispatched)
	if state := w.delivery(first["delivery_id"]).State; state != ingresswire.Discarded {
		t.Errorf("the discarded one is %s", state)
	}
	if got := payloads(w.noetl.Started()); !slices.Equal(got, []string{"2"}) {
		t.Errorf("started %v", got)
	}
}
