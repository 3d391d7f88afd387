package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/tests/stack"
)

// stub is what NoETL answers a call with, and what happens before and after.
type stub struct {
	message message
	status  int
	first   []func()
	then    []func(noetltest.Call)
}

func (r *runner) noetl(s Step) {
	r.tb.Helper()
	switch s.Verb {
	case "NoETL answers":
		n, st := r.world.NoETL, &stub{message: parseMessage(r.expand(s.Body, "")), status: http.StatusOK}
		serve := st.serve
		switch st.message.first {
		case "never":
			serve = n.Hang
		case "broken":
			serve = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		default:
			status, err := strconv.Atoi(st.message.first)
			r.compare(s, err)
			st.status = status
		}
		r.stub = st
		n.Answer(s.Args[0], r.expand(s.Args[1], ""), serve)
	case "NoETL first publishes":
		subject, body, js := r.expand(s.Args[0], ""), r.expand(s.Body, ""), r.world.JetStream
		r.stub.first = append(r.stub.first, func() {
			_, _ = js.Publish(context.Background(), subject, []byte(body)) // the case fails for want of the frame
		})
	case "NoETL then calls":
		path, body, tb := s.Args[1], r.expand(s.Body, ""), r.tb
		r.stub.then = append(r.stub.then, func(c noetltest.Call) {
			w := workload(c)
			// The case fails for want of the answer.
			_, _ = testkit.Try(tb, http.MethodPost, w["workload.gateway_url"]+path, r.expandWith(body, w))
		})
	case "NoETL then publishes":
		subject, body, nc := s.Args[0], r.expand(s.Body, ""), r.world.NATS
		r.stub.then = append(r.stub.then, func(c noetltest.Call) {
			w := workload(c)
			_ = nc.Publish(r.expandWith(subject, w), []byte(r.expandWith(body, w))) // as above
		})
	}
}

func (st *stub) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // it is in memory
	for _, first := range st.first {
		first()
	}
	if strings.HasPrefix(st.message.body, "{") {
		w.Header().Set("Content-Type", "application/json")
	}
	for _, h := range st.message.header {
		w.Header().Add(h[0], h[1])
	}
	w.WriteHeader(st.status)
	_, _ = io.WriteString(w, st.message.body) // the gateway may be gone
	for _, then := range st.then {
		go then(noetltest.Call{Body: string(body)})
	}
}

// workload reads the texts in the workload of a call that starts a playbook, as ${workload.name}.
func workload(c noetltest.Call) map[string]string {
	var in struct{ Workload map[string]any }
	_ = json.Unmarshal([]byte(c.Body), &in) // another call has none
	out := map[string]string{}
	for name, v := range in.Workload {
		if s, ok := v.(string); ok {
			out["workload."+name] = s
		}
	}
	return out
}

// playbook is the path that the call starts, "" if it starts none.
func playbook(c noetltest.Call) string {
	var in struct{ Path string }
	_ = json.Unmarshal([]byte(c.Body), &in)
	return in.Path
}

// calls of NoETL since the last request, without those of auth playbooks that the case is not about.
func (r *runner) calls() []noetltest.Call {
	// Whoever waits for a playbook's callback looks whether it is still under way; how often is no contract.
	all := slices.DeleteFunc(r.world.NoETL.Calls(r.mark), func(c noetltest.Call) bool {
		return r.c.AuthSeen && strings.HasPrefix(c.Target, "/api/executions/") && strings.HasSuffix(c.Target, "/status")
	})
	if r.c.AuthSeen {
		return all
	}
	return slices.DeleteFunc(all, func(c noetltest.Call) bool {
		return strings.HasPrefix(playbook(c), "api_integration/auth0/") && c.Target == "/api/execute"
	})
}

func (r *runner) isAsked(s Step) {
	r.tb.Helper()
	r.asked = max(r.asked, 0)
	r.eventually(
		fmt.Sprintf("line %d: NoETL is asked: %s", s.Line, strings.SplitN(s.Body, "\n", 2)[0]),
		func() bool { return len(r.calls()) > r.asked },
	)
	got := r.calls()[r.asked]
	r.asked++
	want := parseMessage(r.expand(s.Body, ""))
	r.compare(s, r.vars.Text(want.first, got.Method+" "+got.Target))
	r.compare(s, r.compareHeader(want.header, got.Header))
	if want.body != "" {
		r.compare(s, r.vars.Body(want.body, got.Body))
	}
}

// settle checks, where calls were compared, that there were no others.
func (r *runner) settle() {
	r.tb.Helper()
	if r.asked < 0 {
		return
	}
	if calls := r.calls(); len(calls) != r.asked {
		r.tb.Fatalf(
			"NoETL was asked %d times, want %d: %s %s\n(%s)", len(calls), r.asked, calls[len(calls)-1].Method,
			calls[len(calls)-1].Target, r.c.Rule,
		)
	}
	r.asked = -1
}

// putSession writes a session record as login playbooks do.
func (r *runner) putSession(s Step) {
	r.tb.Helper()
	r.world.login(r.tb, "session") // the first login makes the bucket
	kv, err := r.world.JetStream.KeyValue(context.Background(), "sessions")
	r.compare(s, err)
	_, err = kv.PutString(context.Background(), r.expand(s.Args[0], ""), r.expand(s.Body, ""))
	r.compare(s, err)
}

// ready compares the first line that the process prints; later requests go to it.
func (r *runner) ready(s Step) {
	r.tb.Helper()
	line := r.process.FirstLine(r.tb)
	r.compare(s, r.vars.JSON(r.expand(s.Body, ""), string(line)))
	var addresses stack.Ready
	r.compare(s, json.Unmarshal(line, &addresses))
	r.vars.Bound["public_url"], r.vars.Bound["internal_url"] = addresses.Public, addresses.Internal
	r.vars.Bound["admin_url"], r.vars.Bound["issuer"] = addresses.Admin, addresses.Issuer
}
