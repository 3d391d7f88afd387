package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/testkit"
)

// Operators see tools also where there are none: an empty page would not say why.
func TestOperatorsSeeWhetherToolsAreServed(t *testing.T) {
	t.Parallel()
	for mode, enabled := range map[string]bool{"off": false, "on": true} {
		w, admin, user := operators(t, "GATEWAY_MCP="+mode)
		var got operatorwire.ToolsResponse
		testkit.Eventually(t, mode+": the replica answers", func() bool {
			a := w.sendTo(w.ops, "GET", "/api/operator/tools", "", admin...)
			return a.status == 200 && json.Unmarshal([]byte(a.body), &got) == nil && len(got.Replicas) == 1
		})
		if got.Enabled != enabled || got.Calls == nil || len(got.Calls) != 0 || got.Tools == nil ||
			len(got.Silent) != 0 {
			t.Errorf("%s: %+v", mode, got)
		}
		w.sendTo(w.ops, "GET", "/api/operator/tools", "", user...).refused(t, mode, 403, "role_required")
		w.sendTo(w.ops, "GET", "/api/operator/tools", "").refused(t, mode, 401, "missing_session")
		w.sendTo(w.ops, "GET", "/api/operator/tools?limit=1", "", admin...).refused(t, mode, 400, "bad_parameter")
		page := w.browser(7, "admin").get("/operator/tools")
		if page.status != 200 || strings.Contains(page.body, "GATEWAY_MCP is off") == enabled {
			t.Errorf("%s: %d %s", mode, page.status, page.body)
		}
	}
}
