package tools_test

import (
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// A restart and a revocation end calls as they should: an alert about outages or defects must not count them.
func TestEndingsOfCallsAreNoOutages(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"closing": tools.ErrClosing, "session_ended": tools.ErrSessionEnded} {
		if f := fault.Of(err); fault.IsOutage(err) || f.Code != name {
			t.Errorf("%s is %s %s", name, f.Kind, f.Code)
		}
	}
}
