package toolstest_test

import (
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func TestOutcomesKeepTheirPort(t *testing.T) {
	t.Parallel()
	toolstest.RunOutcomes(t, func(*testing.T) (tools.Outcomes, *toolstest.Outcomes) {
		o := toolstest.NewOutcomes()
		return o, o
	})
}
