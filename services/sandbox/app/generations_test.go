package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/testkit"
)

// The Rust server makes its stream when it starts, the Python server when it first publishes, each its own.
func TestTheStreamOfTheGeneration(t *testing.T) {
	for generation, stream := range map[string]string{"rust": "noetl_events", "python": "NOETL_EVENTS"} {
		n := testkit.StartNATS(t)
		ready, js := boot(t, n, "SANDBOX_GENERATION="+generation), n.JetStream(t)
		if generation == "python" {
			call(t, http.MethodPost, ready.NoETL+"/api/execute", map[string]any{"path": "demo/echo"}, nil)
		}
		testkit.Eventually(t, generation+" makes "+stream, func() bool {
			_, err := js.Stream(t.Context(), stream)
			return err == nil
		})
		if _, err := js.Stream(
			t.Context(), map[string]string{"rust": "NOETL_EVENTS", "python": "noetl_events"}[generation],
		); err == nil {
			t.Errorf("%s made the other's stream", generation)
		}
	}
}

// Without NATS everything works: playbooks, callbacks, logins, and the feed has the events.
func TestTheNewestServerNeedsNoNATS(t *testing.T) {
	ready := boot(t, nil, "SANDBOX_GENERATION=feed")
	g := newRecorder(t)
	call(t, http.MethodPost, ready.NoETL+"/api/execute", map[string]any{
		"path": "demo/progress", "workload": map[string]any{"step_ms": 1, "request_id": "r-1", "gateway_url": g.URL},
	}, nil)
	testkit.Eventually(t, "six callbacks", func() bool { return len(g.got()) == 6 })
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	call(
		t, http.MethodPost, ready.NoETL+"/oidc/token",
		url.Values{"grant_type": {"password"}, "username": {"demo@example.com"}, "password": {"demo"}}, &tokens,
	)
	call(t, http.MethodPost, ready.NoETL+"/api/execute", map[string]any{
		"path":     "api_integration/auth0/auth0_login",
		"workload": map[string]any{"auth0_token": tokens.IDToken, "request_id": "r-2", "gateway_url": g.URL},
	}, nil)
	testkit.Eventually(t, "the login callback", func() bool { return len(g.got()) == 7 })
	if data, _ := g.got()[6].body["data"].(map[string]any); data["status"] != "authenticated" {
		t.Errorf("%+v", g.got()[6])
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ready.NoETL+"/feed?cursor=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	in := httpkit.NewEventStreamReader(resp.Body, 1<<20)
	var lines []string
	for len(lines) == 0 || lines[len(lines)-1] != "playbook.completed playbook" {
		e, err := in.Next()
		if err != nil {
			t.Fatal(err)
		}
		var rec struct{ Payload string }
		var payload lifecycle
		if json.Unmarshal(e.Data, &rec) != nil || json.Unmarshal([]byte(rec.Payload), &payload) != nil {
			t.Fatalf("%s", e.Data)
		}
		if shown(payload.Type) {
			lines = append(lines, payload.Type+" "+payload.Node)
		}
	}
	if diff := cmp.Diff(wantedEvents(), lines); diff != "" {
		t.Error(diff)
	}
}
