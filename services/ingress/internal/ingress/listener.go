package ingress

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
)

// ListenerConfig is how a listener is configured at NoETL.
type ListenerConfig struct {
	Name           string
	CatalogPath    string
	Source         string // webhook or pubsub
	SubscriptionID string
	Playbook       string
	PayloadFrom    string
	ExecutionPool  string
	Verify         VerifyConfig
	Directives     json.RawMessage
}

// VerifyConfig says how deliveries are verified. Secret must never be logged.
type VerifyConfig struct{ Type, Header, Secret, Audience, ServiceAccount string }

// Listener is a listener that is ready for deliveries: its verification and its directives are compiled once, when
// its configuration is read. A configuration that nothing can be verified with makes a listener that rejects every
// delivery. It is immutable, and safe for concurrent use.
type Listener struct {
	name, catalogPath, source   string
	playbook, payloadFrom, pool string
	parent                      *int64          // the execution that NoETL files deliveries under
	credentials                 map[string]bool // headers that stay behind, in lower case
	verifier                    verifier
	rules                       block
	badDirectives               error // why rules is empty
}

// verify decides whether a delivery is genuine. The zero value's never are.
func (l Listener) verify(ctx context.Context, tokens TokenVerifier, d DeliverRequest) error {
	if l.verifier == nil {
		return newVerifier(VerifyConfig{}).verify(ctx, tokens, d)
	}
	return l.verifier.verify(ctx, tokens, d)
}

// NewListener compiles a configuration.
func NewListener(c ListenerConfig) Listener {
	l := Listener{
		name: c.Name, catalogPath: c.CatalogPath, source: c.Source,
		playbook: c.Playbook, payloadFrom: c.PayloadFrom, pool: c.ExecutionPool,
		verifier: newVerifier(c.Verify),
		credentials: map[string]bool{
			"authorization": true, "cookie": true, "proxy-authorization": true, "x-signature": true,
			strings.ToLower(c.Verify.Header): true,
		},
	}
	if parent, err := strconv.ParseInt(c.SubscriptionID, 10, 64); err == nil {
		l.parent = &parent
	}
	l.rules, l.badDirectives = parseBlock(c.Directives)
	return l
}
