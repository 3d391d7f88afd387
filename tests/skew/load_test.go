package skew_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

const secret = "the-secret-of-partners"

// load is people and a partner at work: pages with an event stream each, which run playbooks and wait for what comes
// of them, a partner who delivers, and somebody who signs in and out. Nothing is tried again: what is refused has
// failed.
type load struct {
	t              *testing.T
	public, issuer string
	working        context.Context
	stop           context.CancelFunc
	workers        sync.WaitGroup
	pages          []*page

	mu       sync.Mutex
	failures []string
	done     map[string]int // by kind of work
	accepted map[string]bool
}

func startLoad(t *testing.T, public, issuer string) *load {
	t.Helper()
	l := &load{t: t, public: public, issuer: issuer, done: map[string]int{}, accepted: map[string]bool{}}
	l.working, l.stop = context.WithCancel(t.Context())
	for range 3 {
		p := &page{
			l: l, session: stack.Login(t, public, issuer, "demo@example.com"), wanted: map[string]stack.Started{},
			progress: map[string][]string{}, states: map[string][]string{}, results: map[string]int{},
			seen: map[string]bool{}, ended: make(chan struct{}), closed: make(chan struct{}),
		}
		p.open()
		go p.follow()
		l.pages = append(l.pages, p)
		l.every(150*time.Millisecond, p.execute)
	}
	l.every(100*time.Millisecond, l.deliver)
	l.every(300*time.Millisecond, l.login)
	return l
}

// every does one piece of work after the other, at most at that pace.
func (l *load) every(pace time.Duration, work func(n int)) {
	l.workers.Go(func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				work(n)
			case <-l.working.Done():
				return
			}
		}
	})
}

// call reports whether it was answered with that status; what was not is a failure.
func (l *load) call(kind string, want int, method, path, body string, headers ...string) (testkit.Answer, bool) {
	a, err := testkit.Try(l.t, method, l.public+path, body, headers...)
	if err != nil || a.Code != want {
		l.fail("%s: %d %.300s %v", kind, a.Code, a.Body, err)
		return a, false
	}
	return a, true
}

func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 20 {
		l.failures = append(l.failures, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

func (l *load) count(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[kind]++
}

// deliver sends a delivery with an id of its own.
func (l *load) deliver(n int) {
	id := fmt.Sprintf("delivery-%d", n)
	if _, ok := l.call("delivery", http.StatusAccepted, http.MethodPost, "/ingress/partner", `{"id":"`+id+`"}`,
		"Authorization", "Bearer "+secret, "X-Message-Id", id); ok {
		l.count("deliveries")
		l.mu.Lock()
		l.accepted[id] = true
		l.mu.Unlock()
	}
}

// login signs in, is believed, signs out and is not believed.
func (l *load) login(int) {
	body := `{"auth0_token":"` + stack.IDToken(l.t, l.issuer, "viewer@example.com") + `"}`
	a, ok := l.call("login", http.StatusOK, http.MethodPost, "/api/auth/login", body)
	if !ok {
		return
	}
	var in struct {
		SessionToken string `json:"session_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &in); err != nil || in.SessionToken == "" {
		l.fail("login: %v", err)
		return
	}
	bearer := []string{"Authorization", "Bearer " + in.SessionToken}
	const calls = "/noetl/executions"
	if _, ok := l.call("a new session's call", http.StatusOK, http.MethodGet, calls, "", bearer...); !ok {
		return
	}
	if _, ok := l.call("logout", http.StatusNoContent, http.MethodPost, "/api/auth/logout", "", bearer...); ok {
		l.count("logins")
	}
}

// rounds waits until each kind of work was done three times more.
func (l *load) rounds(what string) {
	l.t.Helper()
	const n = 3
	before := l.counts()
	testkit.Eventually(l.t, what+": the work goes on", func() bool {
		now := l.counts()
		for _, kind := range []string{"deliveries", "logins", "starts", "results"} {
			if now[kind] < before[kind]+n {
				return l.failed()
			}
		}
		return true
	})
	if l.failed() {
		l.report(what)
	}
}

func (l *load) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failures) > 0
}

// report ends the test with what failed.
func (l *load) report(when string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Fatalf("%s:\n  %s", when, strings.Join(l.failures, "\n  "))
}

func (l *load) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.done)
}

// end ends the work and waits for what is due: each execution's frames, each once.
func (l *load) end() {
	l.t.Helper()
	l.stop()
	l.workers.Wait()
	for _, p := range l.pages {
		testkit.Eventually(l.t, "every result arrives", func() bool { return l.failed() || p.missing() == 0 })
		// What was stored before this comes before it, also what comes twice.
		last := stack.Execute(l.t, l.public, p.session, p.client, "demo/echo", `{"last":true}`)
		testkit.Eventually(l.t, "the last result arrives", func() bool {
			return l.failed() || p.result(last.RequestID) == 1
		})
		close(p.ended)
		p.current().Close()
		<-p.closed
		p.check()
	}
	if l.failed() {
		l.report("at the end")
	}
}

// page is a browser's page: one client id, one event stream after the other.
type page struct {
	l       *load
	session string
	client  string
	ended   chan struct{}
	closed  chan struct{}

	mu        sync.Mutex
	stream    *testkit.EventStream
	lastID    string
	wanted    map[string]stack.Started // by request id; the status is the playbook's name
	progress  map[string][]string      // request id → what its frames of progress say, in order
	states    map[string][]string      // execution id → what its frames of steps say, in order
	results   map[string]int
	seen      map[string]bool // ids of frames
	reconnect int
}

// open opens the stream, the first or one that goes on where the last one ended.
func (p *page) open() bool {
	query := url.Values{}
	p.mu.Lock()
	if p.client != "" {
		query.Set("client_id", p.client)
		query.Set("last_event_id", p.lastID)
	}
	p.mu.Unlock()
	s, status, err := testkit.DialEvents(p.l.t, p.l.public, p.session, query)
	if err != nil || status != http.StatusOK {
		p.l.fail("GET /events: %d %v", status, err)
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stream = s
	if p.client == "" {
		p.client = s.ClientID(p.l.t)
	} else {
		p.reconnect++
	}
	return true
}

func (p *page) current() *testkit.EventStream {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stream
}

// follow reads frames until the page is closed.
func (p *page) follow() {
	defer close(p.closed)
	for {
		for e := range p.current().Events {
			if e.Error != nil {
				break
			}
			p.read(e)
		}
		select {
		case <-p.ended:
			return
		default:
			if !p.open() {
				return
			}
		}
	}
}

func (p *page) read(e testkit.Event) {
	if e.Name == "ping" || e.Name == "message" {
		return
	}
	var m struct {
		Method string `json:"method"`
		Params struct {
			RequestID string  `json:"requestId"`
			Execution string  `json:"execution_id"`
			EventType string  `json:"event_type"`
			StepName  string  `json:"step_name"`
			Status    string  `json:"status"`
			Progress  float64 `json:"progress"`
		} `json:"params"`
	}
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
		p.l.fail("a frame that is no JSON: %+v", e)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.ID == "" || p.seen[e.ID] {
		p.l.fail("a frame came twice, or has no id: %+v", e)
	}
	p.seen[e.ID], p.lastID = true, e.ID
	id, execution := m.Params.RequestID, m.Params.Execution
	switch e.Name {
	case "playbook/progress":
		p.progress[id] = append(p.progress[id], fmt.Sprint(m.Params.Progress))
	case "playbook/state":
		p.states[execution] = append(p.states[execution], m.Params.EventType+" "+m.Params.StepName)
	case "playbook/result":
		p.results[id]++
		if m.Params.Status != "COMPLETED" {
			p.l.fail("result: %.300s", e.Data)
		}
		p.l.count("results")
	default:
		p.l.fail("an unexpected frame: %+v", e)
	}
}

// execute starts a playbook: every fourth one has steps and progress.
func (p *page) execute(n int) {
	name, variables := "demo/echo", `{"n":1}`
	if n%4 == 0 {
		name, variables = "demo/progress", `{"step_ms":20}`
	}
	a, ok := p.l.call("start", http.StatusOK, http.MethodPost, "/graphql", stack.ExecuteBody(p.client, name, variables),
		"Authorization", "Bearer "+p.session)
	if !ok {
		return
	}
	var reply struct {
		Data   struct{ ExecutePlaybook stack.Started }
		Errors []any
	}
	if err := json.Unmarshal([]byte(a.Body), &reply); err != nil || len(reply.Errors) > 0 {
		p.l.fail("start: %.300s %v", a.Body, err)
		return
	}
	started := reply.Data.ExecutePlaybook
	started.Status = name
	p.mu.Lock()
	p.wanted[started.RequestID] = started
	p.mu.Unlock()
	p.l.count("starts")
}

func (p *page) missing() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for id := range p.wanted {
		if p.results[id] == 0 {
			n++
		}
	}
	return n
}

func (p *page) result(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.results[id]
}

// states is what is told of the steps of demo/progress, and progress what it tells itself. The two come on different
// ways, so each has an order of its own.
const (
	states = "step.enter prepare,step.exit prepare,step.enter extract,step.exit extract," +
		"step.enter transform,step.exit transform,step.enter load,step.exit load,step.enter report,step.exit report," +
		"playbook.completed playbook"
	progress = "0.2,0.4,0.6,0.8,1"
)

// check wants the frames of each execution: all, each once, in order.
func (p *page) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, started := range p.wanted {
		if p.results[id] != 1 {
			p.l.fail("%s, request %s: %d results", started.Status, id, p.results[id])
		}
		if started.Status != "demo/progress" {
			continue
		}
		if got := strings.Join(p.states[started.ExecutionID], ","); got != states {
			p.l.fail("execution %s has the steps %s", started.ExecutionID, got)
		}
		if got := strings.Join(p.progress[id], ","); got != progress {
			p.l.fail("request %s has the progress %s", id, got)
		}
	}
}
