package noetl

import (
	"context"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/telemetry"
)

// Check tests the connection to NoETL, if the settings are ones that [Config.Validate] accepts.
func (c Config) Check(ctx context.Context, report *check.Report) {
	if c.Validate() != nil || report.Wrong("NOETL_BASE_URL", "noetl.base_url") {
		return
	}
	client := New(c, telemetry.Nop("check"))
	report.Test(ctx, "noetl", c.BaseURL, func(ctx context.Context) (string, error) { return "", client.Probe(ctx) })
}
