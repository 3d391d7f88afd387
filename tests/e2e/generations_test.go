package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// gateway is a gateway that runs, in front of a NoETL of some generation.
type gateway struct {
	public        []string // one edge, or two
	noetl, issuer string
}

func standalone(t *testing.T, env ...string) gateway {
	t.Helper()
	p := stack.Standalone(t, env...)
	return gateway{[]string{p.Ready.Public}, p.Ready.NoETL, p.Ready.Issuer}
}

func split(t *testing.T, env ...string) gateway {
	t.Helper()
	s := stack.StartSplit(t, env...)
	return gateway{
		[]string{s.Edge[0].Ready.Public, s.Edge[1].Ready.Public}, s.Sandbox.Ready.NoETL, s.Sandbox.Ready.Issuer,
	}
}

// near and far are two edges, or the same one twice.
func (g gateway) near() string { return g.public[0] }
func (g gateway) far() string  { return g.public[len(g.public)-1] }

// frame is what the tests look at in a frame.
type frame struct {
	id, name string
	params   struct {
		RequestID   string          `json:"requestId"`
		ExecutionID string          `json:"executionId"`
		Execution   string          `json:"execution_id"`
		Progress    float64         `json:"progress"`
		Status      string          `json:"status"`
		EventType   string          `json:"event_type"`
		StepName    *string         `json:"step_name"`
		Data        json.RawMessage `json:"data"`
		Error       struct {
			Data struct{ Code string }
		} `json:"error"`
	}
}

func frameOf(t *testing.T, e testkit.Event) frame {
	t.Helper()
	if e.Error != nil {
		t.Fatalf("the stream ended: %v", e.Error)
	}
	f := frame{id: e.ID, name: e.Name}
	if err := json.Unmarshal(e.Message(t).Params, &f.params); err != nil {
		t.Fatalf("%+v: %v", e, err)
	}
	return f
}

// run is what a stream brought about one execution.
type run struct {
	steps    []string // "step.enter a", in the order of the frames
	ends     []string // the events that ended it
	progress []string
	results  []frame
	ids      map[string]bool
	first    string // id of the first frame
	late     int    // frames of state behind the result
}

// follow reads frames until a run is whole: its result, its end and that many events of steps.
func follow(t *testing.T, stream *testkit.EventStream, started stack.Started, steps int) run {
	t.Helper()
	r := run{ids: map[string]bool{}}
	for len(r.results) == 0 || len(r.ends) == 0 || len(r.steps) < steps {
		r.take(t, frameOf(t, stream.Next(t)), started)
	}
	return r
}

func (r *run) take(t *testing.T, f frame, started stack.Started) {
	t.Helper()
	p := f.params
	if f.id == "" || r.ids[f.id] || p.RequestID != "" && p.RequestID != started.RequestID ||
		p.Execution != "" && p.Execution != started.ExecutionID {
		t.Errorf("of another run, without an id, or one that was there before: %+v", f)
	}
	if r.ids[f.id] = true; r.first == "" {
		r.first = f.id
	}
	switch {
	case f.name == "playbook/progress":
		r.progress = append(r.progress, strconv.FormatFloat(p.Progress, 'g', -1, 64))
	case f.name == "playbook/result":
		r.results = append(r.results, f)
	case f.name != "playbook/state":
		t.Errorf("got %+v", f)
	case strings.HasPrefix(p.EventType, "playbook."):
		r.ends = append(r.ends, p.EventType)
	default:
		r.steps = append(r.steps, p.EventType+" "+*p.StepName)
	}
	if f.name == "playbook/state" && len(r.results) > 0 {
		r.late++
	}
}

// The job of the gateway, in front of each generation of NoETL: in one process and with two of each service.
func TestTheMainJobOnEveryGeneration(t *testing.T) {
	t.Parallel()
	for _, generation := range stack.Generations() {
		for how, start := range map[string]func(*testing.T, ...string) gateway{
			"standalone": standalone, "split": split,
		} {
			for _, lag := range []string{"0", "400"} {
				if generation == "python" && lag != "0" {
					continue // its events are published right after they are stored
				}
				t.Run(generation+" "+how+" lag "+lag, func(t *testing.T) {
					t.Parallel()
					g := start(t, stack.Generation(generation), "SANDBOX_EVENT_LAG_MS="+lag, "SANDBOX_RERUN=false")
					g.mainJob(t, generation, generation == "feed" || lag != "0")
				})
			}
		}
	}
}

func (g gateway) mainJob(t *testing.T, generation string, late bool) {
	t.Helper()
	session := stack.Login(t, g.near(), g.issuer, "demo@example.com")
	stream := testkit.OpenEvents(t, g.near(), session, nil)
	client := stream.ClientID(t)

	started := stack.Execute(t, g.far(), session, client, "demo/progress", `{"step_ms":20}`)
	r := follow(t, stream, started, 10)
	r.check(t, late)
	g.hasStatus(t, session, started.ExecutionID, "COMPLETED")

	// Whoever comes back with the id of a frame gets what came after it, once, at any replica.
	again := testkit.OpenEvents(t, g.far(), session, url.Values{"client_id": {client}, "last_event_id": {r.first}})
	again.ClientID(t)
	for seen := 1; seen < len(r.ids); seen++ {
		if f := frameOf(t, again.Next(t)); !r.ids[f.id] {
			t.Errorf("frame %d after the first one is %+v", seen, f)
		}
	}

	g.rerun(t, generation, session, client, again)
	g.cancel(t, session, client, again)
	g.logout(t, session, again)
}

// check wants all frames of one run of demo/progress, each once, in order.
func (r run) check(t *testing.T, late bool) {
	t.Helper()
	var steps []string
	for _, step := range []string{"prepare", "extract", "transform", "load", "report"} {
		steps = append(steps, "step.enter "+step, "step.exit "+step)
	}
	if got, want := strings.Join(r.steps, ", "), strings.Join(steps, ", "); got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	if got := strings.Join(r.progress, " "); got != "0.2 0.4 0.6 0.8 1" {
		t.Errorf("progress %s", got)
	}
	if len(r.results) != 1 || r.results[0].params.Status != "COMPLETED" ||
		strings.Join(r.ends, " ") != "playbook.completed" {
		t.Errorf("%d results, ends %v", len(r.results), r.ends)
	}
	if r.late > 0 && !late {
		t.Errorf("%d frames of state came after the result", r.late)
	}
}

// hasStatus asks how an execution is doing, until it is doing so.
func (g gateway) hasStatus(t *testing.T, session, id, want string) {
	t.Helper()
	query := `{"query":"{ execution(id: \"` + id + `\") { executionId status completed failed } }"}`
	testkit.Eventually(t, "execution(id) says "+want, func() bool {
		return strings.Contains(testkit.Do(t, http.MethodPost, g.near()+"/graphql", query, bearer(session)...).Body,
			`{"executionId":"`+id+`","status":"`+want+`"`)
	})
}

// rerun starts an execution again, on servers without a route for it: with the old variables under the new
// ones where the server tells the old ones.
func (g gateway) rerun(t *testing.T, generation, session, client string, stream *testkit.EventStream) {
	t.Helper()
	first := stack.Execute(t, g.near(), session, client, "demo/echo", `{"a":1,"b":1,"big":582940187123449857}`)
	follow(t, stream, first, 2)
	body := `{"query":"mutation($v: JSON, $c: String) { rerunExecution(executionId: \"` + first.ExecutionID +
		`\", variables: $v, clientId: $c) { executionId requestId status } }","variables":{"v":{"b":2},"c":"` + client +
		`"}}`
	reply := testkit.Decode[struct {
		Data struct{ RerunExecution stack.Started }
	}](t, testkit.Do(t, http.MethodPost, g.far()+"/graphql", body, bearer(session)...))
	want := `{"a":1,"b":2,"big":582940187123449857}`
	if generation == "python" {
		want = `{"b":2}`
	}
	r := follow(t, stream, reply.Data.RerunExecution, 2)
	if got := string(r.results[0].params.Data); got != want {
		t.Errorf("the rerun returns %s, want %s", got, want)
	}
}

// cancel ends an execution through the proxy; its page is told, and is told nothing else.
func (g gateway) cancel(t *testing.T, session, client string, stream *testkit.EventStream) {
	t.Helper()
	slow := stack.Execute(t, g.near(), session, client, "demo/slow", `{"seconds":60}`)
	path := g.far() + "/noetl/executions/" + slow.ExecutionID + "/cancel"
	a := testkit.Do(t, http.MethodPost, path, `{"reason":"enough","cascade":true}`, bearer(session)...)
	if a.Code != http.StatusOK {
		t.Fatalf("cancel: %d %s", a.Code, a.Body)
	}
	for {
		f := frameOf(t, stream.Next(t))
		if f.name == "playbook/result" {
			t.Fatalf("a result of what was cancelled: %+v", f)
		}
		if f.params.EventType == "playbook.cancelled" {
			break
		}
	}
	g.hasStatus(t, session, slow.ExecutionID, "CANCELLED")
}

// logout ends the session everywhere: on its streams, and for tokens that nobody knows.
func (g gateway) logout(t *testing.T, session string, stream *testkit.EventStream) {
	t.Helper()
	a := testkit.Do(t, http.MethodPost, g.near()+"/api/auth/logout", nil, bearer(session)...)
	if a.Code != http.StatusNoContent {
		t.Errorf("logout: %d %s", a.Code, a.Body)
	}
	for e := stream.Next(t); e.Name != "session/expired"; e = stream.Next(t) {
		if e.Error != nil {
			t.Fatalf("the stream ended without a word: %v", e.Error)
		}
	}
	testkit.Eventually(t, "the session is refused", func() bool {
		a := testkit.Do(t, http.MethodGet, g.far()+"/noetl/executions", nil, bearer(session)...)
		return a.Code == http.StatusUnauthorized
	})
	begin := time.Now()
	a = testkit.Do(t, http.MethodGet, g.far()+"/noetl/executions", nil, bearer("nobody-knows")...)
	if a.Code != http.StatusUnauthorized {
		t.Errorf("an unknown token, after %v: %d %s", time.Since(begin), a.Code, a.Body)
	}
}

// An execution may be over before NoETL has answered that it began.
func TestAnExecutionThatIsOverBeforeItsStartIsAnswered(t *testing.T) {
	t.Parallel()
	for _, generation := range stack.Generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			g := standalone(t, stack.Generation(generation))
			session := stack.Login(t, g.near(), g.issuer, "demo@example.com")
			stream := testkit.OpenEvents(t, g.near(), session, nil)
			client := stream.ClientID(t)
			testkit.Do(t, http.MethodPut, g.noetl+"/sandbox/faults", `{"mode":"answer_late","delay_ms":1000}`)
			started := stack.Execute(t, g.near(), session, client, "demo/progress", `{"step_ms":10}`)
			r := follow(t, stream, started, 10)
			r.check(t, true)
		})
	}
}

// What playbooks of other people do: say nothing, say much, say what is no text.
func TestPlaybooksThatBehaveOddly(t *testing.T) {
	t.Parallel()
	for _, generation := range stack.Generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			g := standalone(t, stack.Generation(generation))
			session := stack.Login(t, g.near(), g.issuer, "demo@example.com")
			stream := testkit.OpenEvents(t, g.near(), session, nil)
			client := stream.ClientID(t)

			odd := follow(t, stream, stack.Execute(t, g.near(), session, client, "demo/odd", `{}`), 2)
			if data := string(odd.results[0].params.Data); !strings.Contains(data, `"big":9007199254740993`) {
				t.Errorf("the odd result: %.200s", data)
			}
			large := stack.Execute(t, g.near(), session, client, "demo/large", `{}`)
			if n := len(follow(t, stream, large, 2).results[0].params.Data); n != 2<<20 {
				t.Errorf("the large result has %d bytes", n)
			}
			large = stack.Execute(t, g.near(), session, client, "demo/large", `{"bytes":9437184}`)
			if r := follow(t, stream, large, 2).results[0].params; r.Data != nil ||
				r.Error.Data.Code != "result_too_large" {
				t.Errorf("the larger result: %.200s %+v", r.Data, r.Error)
			}
			kept := testkit.Do(t, http.MethodGet, g.near()+"/api/results/"+large.RequestID, nil, bearer(session)...)
			if kept.Code != http.StatusOK || len(kept.Body) < 9<<20 {
				t.Errorf("the larger result has %d bytes: %d %.200s", len(kept.Body), kept.Code, kept.Body)
			}
			stack.Execute(t, g.near(), session, client, "demo/silent", `{}`)
			for frameOf(t, stream.Next(t)).params.EventType != "playbook.completed" {
			}
			testkit.Eventually(t, "a request whose execution ended without a word is pending no longer", func() bool {
				again := testkit.OpenEvents(t, g.near(), session, url.Values{"client_id": {client}})
				defer again.Close()
				first := again.Next(t)
				return strings.Contains(first.Data, client) && !strings.Contains(first.Data, "pendingRequests")
			})
		})
	}
}
