package app

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/check"
)

// Check says what a start rejects beyond the settings themselves, names the ports that it opens, and tests NoETL.
func Check(ctx context.Context, cfg Config, report *check.Report) {
	if cfg.Authority.Validate() == nil {
		if table, err := tableOf(cfg.Authority); !report.Fail("routes", err) {
			report.Good("routes", "%d routes of NoETL: %s", len(table.Rules()), table.Source)
		}
	}
	cfg.TLS.Check(time.Now(), report)
	report.Listens("ROUTER_PORT", cfg.Bind, cfg.Port)
	if cfg.Operator.Separate() {
		report.Listens("GATEWAY_OPERATOR_PORT", cfg.Operator.Bind, cfg.Operator.Port)
	}
	cfg.NoETL.Check(ctx, report)
}
