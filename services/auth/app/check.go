package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/services/auth/internal/adapters/oidcissuer"
	"github.com/noetl/gateway/services/auth/internal/adapters/policyfile"
	"github.com/noetl/gateway/services/auth/internal/config"
)

// Check says what a start rejects beyond the settings themselves, and tests what the service asks: issuers and NoETL.
func Check(ctx context.Context, cfg Config, report *check.Report) {
	if who, err := cfg.Backends(); err == nil {
		if who.Uses(config.BackendLocal) && cfg.PolicyFile != "" {
			checkPolicy(cfg.PolicyFile, report)
		}
		if who.Uses(config.BackendSync) || who.Uses(config.BackendPlaybook) {
			cfg.NoETL.Check(ctx, report)
		}
	}
	checkIssuers(ctx, cfg, report)
}

func checkPolicy(path string, report *check.Report) {
	if _, err := policyfile.Open(path, slog.New(slog.DiscardHandler)); !report.Fail("policy", err) {
		report.Good("policy", "%s can be used", path)
	}
}

// checkIssuers looks at each issuer alone, so that the report tells which one is wrong.
func checkIssuers(ctx context.Context, cfg Config, report *check.Report) {
	connectTo, err := cfg.IssuerConnectTo()
	if err != nil {
		return // the settings say so
	}
	client := oidc.Client(connectTo)
	for _, issuer := range cfg.Issuers() {
		verifier, err := oidcissuer.New(oidcissuer.Config{
			Issuers: []string{issuer}, Audiences: cfg.Audiences(), TTL: cfg.JWKSTTL, Cooldown: cfg.JWKSCool,
		}, client)
		if err != nil {
			report.Fail("issuer", fmt.Errorf("AUTH_ISSUERS: %w", err))
			continue
		}
		report.Test(ctx, "issuer", issuer, func(ctx context.Context) (string, error) {
			err := verifier.Probe(ctx)
			if cause := errors.Unwrap(err); cause != nil {
				err = fmt.Errorf("its keys cannot be fetched: %w", cause)
			}
			return "keys are at hand", err
		})
	}
}
