package toolstest_test

import (
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func TestCatalogConformance(t *testing.T) {
	t.Parallel()
	toolstest.RunCatalog(t, func(_ *testing.T, versions []toolstest.Version) tools.Catalog {
		return toolstest.NewCatalog(versions...)
	})
}
