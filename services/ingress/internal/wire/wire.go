// Package wire turns what NoETL says into values of the domain.
package wire

import (
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Listener compiles a listener's configuration (wire contract, section 9).
func Listener(l noetlwire.Listener) ingress.Listener {
	return ingress.NewListener(ingress.ListenerConfig{
		Name:           l.Listener,
		CatalogPath:    l.CatalogPath,
		Source:         l.Source,
		SubscriptionID: string(l.SubscriptionID),
		Playbook:       l.Dispatch.Playbook,
		PayloadFrom:    l.Dispatch.PayloadFrom,
		ExecutionPool:  l.Dispatch.ExecutionPool,
		Directives:     l.Directives,
		Origin:         ingress.OriginNoETL,
		Verify: ingress.VerifyConfig{
			Type: l.Verify.Type, Header: l.Verify.Header, Secrets: secrets(l.Verify.Secret),
			Audience: l.Verify.Audience, ServiceAccount: l.Verify.ServiceAccount,
		},
	})
}

func secrets(one string) []ingress.SecretConfig {
	if one == "" {
		return nil
	}
	return []ingress.SecretConfig{{Value: one}}
}
