package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
)

func TestNATSIsUnavailableAndBack(t *testing.T) {
	t.Parallel()
	w := boot(t)
	cached, uncached := w.auth.Add(authwire.User{UserID: 7}), w.auth.Add(authwire.User{UserID: 8})
	if got := w.send("GET", "/noetl/echo/x", "", "X-Session-Token", cached); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	w.nats.Stop()
	testkit.Eventually(t, "the outage is noticed", func() bool { return w.send("GET", "/readyz", "").status == 503 })

	if got := w.send("GET", "/noetl/echo/x", "", "X-Session-Token", cached); got.status != 200 {
		t.Errorf("a cached session during the outage: %d %s", got.status, got.body)
	}
	got := w.send("GET", "/noetl/echo/x", "", "X-Session-Token", uncached, "Origin", origin)
	got.refused(t, "an unknown session during the outage", 503, "nats_unavailable")
	if got.header.Get("Retry-After") == "" || got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("headers of the 503: %v", got.header)
	}
	w.send("POST", "/api/auth/login", `{"auth0_token":"good"}`).
		refused(t, "login during the outage", 503, "nats_unavailable")
	execute := `{"query":"mutation{executePlaybook(name:\"demo/echo\",clientId:\"c1\"){id}}"}`
	if got := w.send(
		"POST", "/graphql", execute, "X-Session-Token", cached, "Content-Type", "application/json",
	); !strings.Contains(got.body, `"code":"UNAVAILABLE"`) {
		t.Errorf("execute during the outage: %d %s", got.status, got.body)
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions were started though nobody would know whom their result is for", n)
	}

	w.nats.Start(t)
	testkit.Eventually(t, "the unknown session is served again", func() bool {
		return w.send("GET", "/noetl/echo/x", "", "X-Session-Token", uncached).status == 200
	})
	testkit.Eventually(t, "executions start again", func() bool {
		return strings.Contains(
			w.send("POST", "/graphql", execute, "X-Session-Token", cached, "Content-Type", "application/json").body,
			noetltest.FirstExecution,
		)
	})
	testkit.Eventually(t, "ready again", func() bool { return w.send("GET", "/readyz", "").status == 200 })
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := boot(t)
	check := func(want string, failed ...string) {
		t.Helper()
		testkit.Eventually(t, want+" "+strings.Join(failed, ","), func() bool {
			got := w.send("GET", "/readyz", "")
			var s httpkit.Status
			if err := json.Unmarshal([]byte(got.body), &s); err != nil {
				t.Fatal(err)
			}
			bad := map[string]bool{}
			for name, c := range s.Checks {
				if c.Status != "ok" {
					bad[name] = true
					if strings.Contains(c.Error, "127.0.0.1") {
						t.Errorf("readiness shows an address: %s", c.Error)
					}
				}
			}
			for _, name := range failed {
				delete(bad, name)
			}
			return s.Status == want && len(bad) == 0 && len(s.Checks) == 5
		})
	}
	check("ready")
	w.noetl.Close()
	check("degraded", "noetl")
	w.events.Close()
	check("degraded", "noetl", "event-fanout")
	w.ingress.Close()
	w.nats.Stop()
	check("unready", "noetl", "event-fanout", "ingress", "nats", "auth")
	for _, path := range []string{"/health", "/healthz"} {
		if got := w.send("GET", path, ""); got.status != 200 || got.body != "ok" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	w.send("GET", "/events", "").refused(t, "event-fanout unavailable", 503, "event-fanout_unavailable")
	if got := w.send("GET", "/", ""); got.status != 200 || !strings.Contains(got.body, "<!doctype html>") {
		t.Errorf("the page: %d", got.status)
	}
}
