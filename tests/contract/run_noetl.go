package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/tests/stack"
)

func (r *runner) noetl(s Step) {
	r.tb.Helper()
	switch s.Verb {
	case "NoETL answers":
		m := parseMessage(r.expand(s.Body, ""))
		r.stub = &stub{
			method: s.Args[0],
			path:   r.expand(s.Args[1], ""),
			header: m.header,
			body:   m.body,
			hang:   m.first == "never",
			broken: m.first == "broken",
		}
		if r.stub.status = http.StatusOK; !r.stub.hang && !r.stub.broken {
			status, err := strconv.Atoi(m.first)
			r.compare(s, err)
			r.stub.status = status
		}
		if strings.HasPrefix(m.body, "{") {
			r.stub.header = append([][2]string{{"Content-Type", "application/json"}}, r.stub.header...)
		}
		r.world.NoETL.answer(r.stub)
	case "NoETL first publishes":
		subject, body, js := r.expand(s.Args[0], ""), r.expand(s.Body, ""), r.world.JetStream
		r.stub.first = append(r.stub.first, func() {
			_, _ = js.Publish(context.Background(), subject, []byte(body)) // the case fails for want of the frame
		})
	case "NoETL then calls":
		path, body, tb := s.Args[1], r.expand(s.Body, ""), r.tb
		r.stub.then = append(r.stub.then, func(c Call) {
			w := c.workload()
			post(tb, w["workload.gateway_url"]+path, r.expandWith(body, w))
		})
	case "NoETL then publishes":
		subject, body, nc := s.Args[0], r.expand(s.Body, ""), r.world.NATS
		r.stub.then = append(r.stub.then, func(c Call) {
			w := c.workload()
			_ = nc.PublishMsg(
				&nats.Msg{Subject: r.expandWith(subject, w), Data: []byte(r.expandWith(body, w))},
			) // the case fails for want of the answer
		})
	}
}

// calls of NoETL since the last request, without those of auth playbooks that the case is not about.
func (r *runner) calls() []Call {
	// Whoever waits for a playbook's callback looks whether it is still under way; how often is no contract.
	all := slices.DeleteFunc(r.world.NoETL.Calls(r.mark), func(c Call) bool {
		return r.c.AuthSeen && strings.HasPrefix(c.Target, "/api/executions/") && strings.HasSuffix(c.Target, "/status")
	})
	if r.c.AuthSeen {
		return all
	}
	return slices.DeleteFunc(all, func(c Call) bool {
		return strings.HasPrefix(c.playbook(), "api_integration/auth0/") && c.Target == "/api/execute"
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
