//go:build containers

package containers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// The main job over images, with the front, two replicas of each service and least privilege.
func TestTheMainJobInContainers(t *testing.T) {
	t.Parallel()
	w := start(t, setup{replicas: 2})
	session := w.login("demo@example.com")
	stream := testkit.OpenEvents(t, w.public, session, nil)
	client := stream.ClientID(t)
	started := stack.Execute(t, w.public, session, client, "demo/progress", `{"step_ms":20}`)
	events := stream.Until(t, "playbook/result")
	if last := events[len(events)-1].Data; !strings.Contains(last, started.RequestID) ||
		!strings.Contains(last, `"COMPLETED"`) {
		t.Errorf("the result: %s", last)
	}
	for _, name := range append([]string{"sandbox"}, services...) {
		for _, n := range append(w.service[name], map[string][]*node{"sandbox": {w.sandbox}}[name]...) {
			info, err := n.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.Config.User != "65532:65532" || !info.HostConfig.ReadonlyRootfs {
				t.Errorf("%s runs as %q, read-only root %v", name, info.Config.User, info.HostConfig.ReadonlyRootfs)
			}
			if got := strings.Join(info.Config.Healthcheck.Test, " "); got != "CMD /service health" {
				t.Errorf("%s: health check %q", name, got)
			}
		}
	}
	if logs := w.nats.logs(); strings.Contains(logs, "Violation") {
		t.Errorf("a service did what its NATS user may not:\n%s", logs)
	}
	if a := testkit.Do(
		t, http.MethodPost, w.public+"/api/auth/logout", nil, "Authorization", "Bearer "+session,
	); a.Code != http.StatusNoContent {
		t.Errorf("logout: %d %s", a.Code, a.Body)
	}
}
