package toolstest_test

import (
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func TestEndingsConformance(t *testing.T) {
	toolstest.RunEndings(t, func(*testing.T) (tools.Endings, *toolstest.Endings) {
		fake := toolstest.NewEndings()
		return fake, fake
	})
}
