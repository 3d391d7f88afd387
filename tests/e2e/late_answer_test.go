package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// The answer that tells the execution id may come long after the execution's events, and replicas may be
// killed and started again in between: a page still gets every frame, each once, its steps in order.
func TestNoFrameIsLostBeforeALateAnswer(t *testing.T) {
	t.Parallel()
	for _, generation := range stack.Generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			s := stack.StartSplit(t, stack.Generation(generation), "SANDBOX_EVENT_LAG_MS=0")
			session := stack.Login(t, s.Edge[0].Ready.Public, s.Sandbox.Ready.Issuer, "demo@example.com")
			for _, delay := range []time.Duration{0, 4 * time.Second, 30 * time.Second} {
				lateAnswer(t, s, session, delay, fmt.Sprintf("%s, %s", generation, delay))
			}
		})
	}
}

func lateAnswer(t *testing.T, s *stack.Split, session string, delay time.Duration, name string) {
	t.Helper()
	fault := fmt.Sprintf(`{"mode":"answer_late","delay_ms":%d}`, delay.Milliseconds())
	if delay == 0 {
		fault = `{"mode":""}`
	}
	if a := testkit.Do(t, http.MethodPut, s.Sandbox.Ready.NoETL+"/sandbox/faults", fault); a.Code/100 != 2 {
		t.Fatalf("%s: %d %s", name, a.Code, a.Body)
	}
	page := newReader(t, s, session)
	request := uuid.NewString()
	answered := make(chan string, 1)
	go func() {
		body, err := json.Marshal(map[string]any{
			"query": `mutation($c: String, $r: String) { executePlaybook(name: "demo/progress",
				variables: {step_ms: 150}, clientId: $c, requestId: $r) { executionId } }`,
			"variables": map[string]string{"c": page.client, "r": request},
		})
		if err != nil {
			t.Error(err)
		}
		a, err := testkit.Try(t, http.MethodPost, s.Edge[1].Ready.Public+"/graphql", string(body), bearer(session)...)
		answered <- fmt.Sprint(a.Code, " ", a.Body, " ", err)
	}()
	for i := range stack.Replicas { // one after the other, so that there is always one for the workers
		page.readFor(300 * time.Millisecond)
		s.Fanout[i].Kill()
		s.Fanout[i].Wait(t)
		s.RestartFanout(t, i)
	}
	deadline := time.Now().Add(delay + 30*time.Second)
	for !page.complete(request) && time.Now().Before(deadline) {
		page.readFor(100 * time.Millisecond)
	}
	page.readFor(time.Second) // what is doubled would come now
	if a := <-answered; !strings.HasPrefix(a, "200 ") || strings.Contains(a, "errors") {
		t.Fatalf("%s: the start was answered %s", name, a)
	}
	page.check(name, request)
}

// reader is a page that comes back, at the other replica each time, whenever its stream ends.
type reader struct {
	t       *testing.T
	s       *stack.Split
	session string
	stream  *testkit.EventStream
	client  string
	last    string
	turn    int
	words   []string // what each frame says, in order
	ids     map[string]int
}

func newReader(t *testing.T, s *stack.Split, session string) *reader {
	t.Helper()
	r := &reader{t: t, s: s, session: session, ids: map[string]int{}}
	r.connect()
	return r
}

// connect opens the stream, at a replica that is there.
func (r *reader) connect() {
	r.t.Helper()
	query := url.Values{}
	if r.last != "" {
		query.Set("last_event_id", r.last)
	}
	for range 2 * stack.Replicas {
		stream, status, err := testkit.DialEvents(r.t, r.s.Edge[r.turn%stack.Replicas].Ready.Public, r.session, query)
		r.turn++
		if status != http.StatusOK || err != nil {
			continue
		}
		r.stream = stream
		first := stream.Next(r.t)
		if r.last == "" {
			r.last = first.ID // as a browser's EventSource does
		}
		var init struct {
			ClientID string `json:"clientId"`
		}
		if err := json.Unmarshal(first.Message(r.t).Result, &init); err != nil {
			r.t.Fatal(err)
		}
		client := init.ClientID
		if r.client != "" && client != r.client {
			r.t.Errorf("came back as %s, was %s", client, r.client)
		}
		r.client = client
		return
	}
	r.t.Fatal("no replica takes the stream")
}

// readFor reads frames for a time.
func (r *reader) readFor(d time.Duration) {
	r.t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		select {
		case e := <-r.stream.Events:
			if e.Error != nil {
				r.connect()
				continue
			}
			r.take(e)
		case <-end.C:
			return
		}
	}
}

func (r *reader) take(e testkit.Event) {
	if e.Name == "ping" {
		return
	}
	if e.ID != "" {
		r.last = e.ID
		r.ids[e.ID]++
	}
	f := frameOf(r.t, e)
	word := f.name
	switch {
	case f.name == "playbook/state" && f.params.StepName != nil && !strings.HasPrefix(f.params.EventType, "playbook."):
		word = f.params.EventType + " " + *f.params.StepName
	case f.name == "playbook/state":
		word = f.params.EventType
	case f.name == "playbook/progress":
		word = fmt.Sprint("progress ", f.params.Progress)
	case f.name == "playbook/result":
		word = "result " + f.params.RequestID
	}
	r.words = append(r.words, word)
}

// expected are the states of one run of demo/progress, in order.
func expected() []string {
	var want []string
	for _, step := range []string{"prepare", "extract", "transform", "load", "report"} {
		want = append(want, "step.enter "+step, "step.exit "+step)
	}
	return append(want, "playbook.completed")
}

func (r *reader) complete(request string) bool {
	for _, word := range append(expected(), "result "+request) {
		if !slices.Contains(r.words, word) {
			return false
		}
	}
	return true
}

// check wants every frame of one run once, the states in order, and forgets them.
func (r *reader) check(name, request string) {
	r.t.Helper()
	var states, others []string
	for _, word := range r.words {
		switch {
		case strings.HasPrefix(word, "step."):
			states = append(states, word)
		default:
			others = append(others, word)
		}
	}
	want := expected()
	if !slices.Equal(states, want[:len(want)-1]) {
		r.t.Errorf("%s: states %q", name, states)
	}
	slices.Sort(others)
	wantOthers := []string{
		"playbook.completed", "progress 0.2", "progress 0.4", "progress 0.6", "progress 0.8", "progress 1",
		"result " + request,
	}
	if !slices.Equal(others, wantOthers) {
		r.t.Errorf("%s: others %q", name, others)
	}
	for id, n := range r.ids {
		if n > 1 {
			r.t.Errorf("%s: the frame %s came %d times", name, id, n)
		}
	}
}
