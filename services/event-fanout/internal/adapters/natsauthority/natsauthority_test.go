package natsauthority_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsauthority"
)

// serve runs a service of one operation until the test ends, and returns when it answers.
func serve[In, Out any](
	t *testing.T, n *testkit.NATS, service, subject string, answer func(context.Context, In) (Out, error),
) {
	t.Helper()
	s := natskit.NewService(n.Connect(t), telemetry.Nop(service), service, "test",
		natskit.Handle(kit.Observer{}, subject, "test", kit.Limits{Concurrency: 8}, answer))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	nc := n.Connect(t)
	testkit.Eventually(t, service+" answers", func() bool {
		pctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return natskit.ProbeService(nc, service)(pctx) == nil
	})
}

func authority(nc *nats.Conn) *natsauthority.Authority {
	return natsauthority.New(nc, telemetry.Nop("event-fanout"))
}

// verdict is the kind of a refusal, or "yes".
func verdict(err error) string {
	kind, failed := fault.KindOf(err)
	if !failed {
		return "yes"
	}
	return kind.String()
}

func TestResourcesAreAskedOfAuth(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	want := authwire.Resource{
		Source: "kv", Path: "chat_threads/42/board", Scope: "owner", Pattern: "chat_threads/{thread_id}/**",
		Segments: map[string]string{"thread_id": "42"},
	}
	answers := map[string]func() (authwire.CheckResourceResponse, error){
		"yes": func() (authwire.CheckResourceResponse, error) {
			return authwire.CheckResourceResponse{Allowed: true}, nil
		},
		"no":      func() (authwire.CheckResourceResponse, error) { return authwire.CheckResourceResponse{}, nil },
		"ended":   refuse[authwire.CheckResourceResponse](fault.Unauthenticated),
		"denied":  refuse[authwire.CheckResourceResponse](fault.Denied),
		"invalid": refuse[authwire.CheckResourceResponse](fault.Invalid),
		"down":    refuse[authwire.CheckResourceResponse](fault.Unavailable),
		"busy":    refuse[authwire.CheckResourceResponse](fault.RateLimited),
		"broken":  func() (out authwire.CheckResourceResponse, err error) { return out, errors.New("boom") },
		"yes and broken": func() (authwire.CheckResourceResponse, error) {
			return authwire.CheckResourceResponse{Allowed: true}, errors.New("boom")
		},
	}
	serve(t, n, "auth", authwire.SubjectCheckResource,
		func(_ context.Context, in authwire.CheckResourceRequest) (authwire.CheckResourceResponse, error) {
			if diff := cmp.Diff(want, in.Resource); diff != "" {
				t.Error(diff)
			}
			return answers[in.SessionToken]()
		})
	got, a := map[string]string{}, authority(n.Connect(t))
	for token := range answers {
		got[token] = verdict(a.CheckResource(t.Context(), authwire.NewToken(token), want))
	}
	if diff := cmp.Diff(map[string]string{
		"yes": "yes", "no": "denied", "ended": "unauthenticated", "denied": "denied", "invalid": "denied",
		"down": "unavailable", "busy": "rate_limited", "broken": "internal", "yes and broken": "internal",
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestExecutionsAreAskedOfEdgeProxy(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	answers := map[string]func() (edgewire.ViewExecutionResponse, error){
		"yes": func() (edgewire.ViewExecutionResponse, error) {
			return edgewire.ViewExecutionResponse{PlaybookPath: "demo/echo"}, nil
		},
		"a playbook that nobody tells": func() (edgewire.ViewExecutionResponse, error) {
			return edgewire.ViewExecutionResponse{}, nil
		},
		"ended":   refuse[edgewire.ViewExecutionResponse](fault.Unauthenticated),
		"denied":  refuse[edgewire.ViewExecutionResponse](fault.Denied),
		"unknown": refuse[edgewire.ViewExecutionResponse](fault.NotFound),
		"invalid": refuse[edgewire.ViewExecutionResponse](fault.Invalid),
		"down":    refuse[edgewire.ViewExecutionResponse](fault.Unavailable),
		"slow":    refuse[edgewire.ViewExecutionResponse](fault.Timeout),
	}
	serve(t, n, "edge-proxy", edgewire.SubjectViewExecution,
		func(_ context.Context, in edgewire.ViewExecutionRequest) (edgewire.ViewExecutionResponse, error) {
			if in.ExecutionID != "5" {
				t.Errorf("asked about %q", in.ExecutionID)
			}
			return answers[in.SessionToken]()
		})
	got, a := map[string]string{}, authority(n.Connect(t))
	for token := range answers {
		got[token] = verdict(a.ViewExecution(t.Context(), authwire.NewToken(token), "5"))
	}
	if diff := cmp.Diff(map[string]string{
		"yes": "yes", "a playbook that nobody tells": "yes", "ended": "unauthenticated", "denied": "denied",
		"unknown": "not_found", "invalid": "not_found", "down": "unavailable", "slow": "timeout",
	}, got); diff != "" {
		t.Error(diff)
	}
}

func refuse[Out any](kind fault.Kind) func() (Out, error) {
	return func() (out Out, err error) { return out, fault.New(kind, "refused", "refused") }
}

func TestNobodyThereIsAnOutage(t *testing.T) {
	t.Parallel()
	a := authority(testkit.StartNATS(t).Connect(t))
	token := authwire.NewToken("tok")
	for name, err := range map[string]error{
		"auth":       a.CheckResource(t.Context(), token, authwire.Resource{Source: "kv", Path: "a"}),
		"edge-proxy": a.ViewExecution(t.Context(), token, "5"),
	} {
		if got := verdict(err); got != "unavailable" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// An answer that is none must not be taken for one: the zero value of a reply is a refusal, and of an execution's not.
func TestAnAnswerThatIsNoneOpensNothing(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	for _, subject := range []string{authwire.SubjectCheckResource, edgewire.SubjectViewExecution} {
		_, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(`"yes"`)) })
		testkit.Must(t, err)
	}
	testkit.Must(t, nc.Flush())
	a, token := authority(n.Connect(t)), authwire.NewToken("tok")
	for name, err := range map[string]error{
		"auth":       a.CheckResource(t.Context(), token, authwire.Resource{Source: "kv", Path: "a"}),
		"edge-proxy": a.ViewExecution(t.Context(), token, "5"),
	} {
		if got := verdict(err); got != "internal" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
