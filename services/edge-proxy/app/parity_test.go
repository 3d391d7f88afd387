package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
)

func TestRoutesWithoutASession(t *testing.T) {
	t.Parallel()
	w := boot(t, "GATEWAY_AUTH0_DOMAIN=acme.auth0.com")
	for path, want := range map[string]string{
		"/api/runtime/contract":                          `"domain":"acme.auth0.com"`,
		"/sharding/preview?execution_id=1&shard_count=2": `"source":"noetl-gateway"`,
		"/graphql":                "<title>GraphiQL",
		"/graphql/assets/page.js": "graphql-transport-ws",
	} {
		if got := w.send("GET", path, ""); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %.200s", path, got.status, got.body)
		}
	}
}

func TestCommandsOverNATS(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7, Email: "seven@example.com"})
	calls := natskit.NewClient(w.nats.Connect(t), telemetry.Nop("event-fanout"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	testkit.Eventually(t, "the last of the subjects answers", func() bool { // NATS is no part of serving HTTP
		_, err := natskit.Call[edgewire.ViewExecutionRequest, edgewire.ViewExecutionResponse](
			ctx, calls, "edge-proxy", edgewire.SubjectViewExecution, edgewire.ViewExecutionRequest{})
		return !fault.IsOutage(err)
	})
	in := edgewire.ExecuteRequest{
		SessionToken: token,
		ClientID:     "c1",
		Name:         "demo/echo",
		Variables:    json.RawMessage(`{"n":9007199254740993}`),
	}
	out, err := natskit.Call[edgewire.ExecuteRequest, edgewire.ExecuteResponse](
		ctx, calls, "edge-proxy", edgewire.SubjectExecute, in,
	)
	if err != nil || out.ExecutionID != noetltest.FirstExecution || out.RequestID == "" {
		t.Fatalf("%+v %v", out, err)
	}
	if started := w.noetl.Started(); len(started) != 1 || started[0].Path != "demo/echo" {
		t.Errorf("%+v", started)
	} else if text, err := json.Marshal(started[0].Workload); err != nil ||
		!strings.Contains(string(text), "9007199254740993") {
		t.Errorf("%s %v", text, err)
	}
	again, err := natskit.Call[edgewire.RerunRequest, edgewire.ExecuteResponse](
		ctx, calls, "edge-proxy", edgewire.SubjectRerun,
		edgewire.RerunRequest{SessionToken: token, ExecutionID: out.ExecutionID},
	)
	if err != nil || again.ExecutionID == out.ExecutionID {
		t.Errorf("%+v %v", again, err)
	}
	gone, err := natskit.Call[edgewire.CancelRequest, edgewire.CancelResponse](
		ctx, calls, "edge-proxy", edgewire.SubjectCancel,
		edgewire.CancelRequest{SessionToken: token, ExecutionID: out.ExecutionID, Reason: "enough"},
	)
	if err != nil || gone.Status != "cancelled" || w.noetl.Reason(out.ExecutionID) != "enough" {
		t.Errorf("%+v %v", gone, err)
	}
	view := func(token, id string) (edgewire.ViewExecutionResponse, error) {
		return natskit.Call[edgewire.ViewExecutionRequest, edgewire.ViewExecutionResponse](
			ctx, calls, "edge-proxy", edgewire.SubjectViewExecution,
			edgewire.ViewExecutionRequest{SessionToken: token, ExecutionID: id},
		)
	}
	if seen, err := view(token, out.ExecutionID); err != nil || seen.PlaybookPath != "demo/echo" {
		t.Errorf("%+v %v", seen, err)
	}
	if _, err := view(token, "404"); !testkit.IsKind(err, fault.NotFound) {
		t.Errorf("an execution that is not there: %v", err)
	}
	for _, stranger := range []string{"", "wrong"} {
		if _, err := view(stranger, out.ExecutionID); !testkit.IsKind(err, fault.Unauthenticated) {
			t.Errorf("the session %q: %v", stranger, err)
		}
	}
	for name, bad := range map[string]edgewire.ExecuteRequest{
		"no session":          {Name: "demo/echo"},
		"another's session":   {Name: "demo/echo", SessionToken: "wrong"},
		"variables no object": {Name: "demo/echo", SessionToken: token, Variables: json.RawMessage(`[1]`)},
		"no name":             {SessionToken: token},
		"unknown kind":        {Name: "demo/echo", SessionToken: token, ResourceKind: "tool"},
		"another's client":    {Name: "demo/echo", SessionToken: token, ClientID: "foreign"},
	} {
		_, err := natskit.Call[edgewire.ExecuteRequest, edgewire.ExecuteResponse](
			ctx, calls, "edge-proxy", edgewire.SubjectExecute, bad,
		)
		if err == nil || fault.IsOutage(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(w.noetl.Started()); n != 2 {
		t.Errorf("%d executions were started, want 2", n)
	}
}
