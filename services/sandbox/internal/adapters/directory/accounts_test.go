package directory_test

import (
	"testing"

	"github.com/noetl/gateway/services/sandbox/internal/adapters/directory"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/issuertest"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

func TestConformance(t *testing.T) {
	issuertest.RunAccounts(t, func(*testing.T) issuer.Accounts { return directory.New(sandbox.NewDirectory()) })
}
