package run_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/run"
)

// A free port of an address that this machine does not have cannot be opened either, and free ports are never the same.
func TestFreePortsAreCheckedForTheirAddress(t *testing.T) {
	t.Parallel()
	report := &check.Report{}
	report.Listens("ROUTER_PORT", "127.0.0.1", 0)
	report.Listens("GATEWAY_OPERATOR_PORT", "127.0.0.1", 0)
	run.ProcessConfig{}.CheckListeners(t.Context(), report)
	if err := report.Problems(); err != nil || len(report.Results()) != 0 {
		t.Errorf("%v, %v", err, report.Results())
	}
	report.Listens("SANDBOX_PORT", "203.0.113.7", 0) // of the documentation (RFC 5737)
	run.ProcessConfig{}.CheckListeners(t.Context(), report)
	if err := report.Problems(); err == nil || !strings.Contains(err.Error(), "203.0.113.7 port 0 (SANDBOX_PORT)") {
		t.Errorf("err = %v", err)
	}
}
