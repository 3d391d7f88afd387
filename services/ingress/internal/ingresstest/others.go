package ingresstest

import (
	"context"
	"strings"
	"sync"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

var (
	_ ingress.TokenVerifier = Tokens{}
	_ ingress.Auditor       = (*Audits)(nil)
)

// Tokens accepts "good <email>", verified, and "unverified <email>"; others get the reason that
// they name.
type Tokens struct{}

// Verify implements the port.
func (Tokens) Verify(_ context.Context, token, audience string) (ingress.Claims, error) {
	kind, email, _ := strings.Cut(token, ":")
	if audience != "aud" {
		return ingress.Claims{}, ingress.Reject(ingress.OIDCAudience, "another audience", nil)
	}
	switch kind {
	case "good", "unverified":
		return ingress.Claims{Email: email, EmailVerified: kind == "good"}, nil
	default:
		return ingress.Claims{}, ingress.Reject(ingress.Reason(kind), "refused", nil)
	}
}

// Audits remembers audits.
type Audits struct {
	mu  sync.Mutex
	all []ingress.Audit
}

// Applied implements the port.
func (a *Audits) Applied(_ context.Context, audit ingress.Audit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, audit)
}

// All returns what was recorded.
func (a *Audits) All() []ingress.Audit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]ingress.Audit(nil), a.all...)
}
