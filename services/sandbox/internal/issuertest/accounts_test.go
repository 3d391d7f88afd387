package issuertest_test

import (
	"testing"

	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/issuertest"
)

func TestFake(t *testing.T) {
	issuertest.RunAccounts(t, func(*testing.T) issuer.Accounts {
		return issuertest.Fake{{Subject: "1", Email: "one@example.com", Name: "One"}}
	})
}
