package ingress

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/services/ingress/internal/rules"
)

// ListenerConfig is how a listener is configured, at NoETL or in a file. What only a file can say has a zero value that
// means the default.
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

	Origin    string // OriginNoETL or OriginFile
	Paused    bool   // stored, and dispatched when the configuration no longer says so
	Window    time.Duration
	Patience  time.Duration // how long a sender is kept waiting for an execution id
	MaxBody   int64         // bytes
	OrderBy   string        // CEL: deliveries with the same value are dispatched in order
	BothForms bool          // the workload holds the payload in the message and merged
	Retry     RetryConfig
	Limits    LimitsConfig
	Rules     RulesConfig
}

// Origins of a configuration.
const (
	OriginNoETL = "noetl"
	OriginFile  = "file"
)

// RetryConfig is the schedule of the attempts after the first.
type RetryConfig struct {
	MinDelay, MaxDelay time.Duration // of the exponential backoff, jitter included
	MaxAttempts        int
	Expire             time.Duration // since it was received
}

// LimitsConfig bounds what a listener asks of NoETL, in each replica.
type LimitsConfig struct {
	PerSecond   float64
	Concurrency int
}

// RulesConfig are the rules that look at the message of a verified delivery.
type RulesConfig struct {
	Filter  string // CEL: false drops the delivery
	Route   string // CEL: the playbook, one of Allowed
	Allowed []string
	Schema  json.RawMessage // JSON Schema of the message's data
}

// SecretConfig is a live secret. It must never be logged.
type SecretConfig struct {
	Value   string
	Expires time.Time // zero for never
}

// VerifyConfig says how deliveries are verified. Secrets must never be logged.
type VerifyConfig struct {
	Type    string // a preset of libs/webhook, custom, or a type of the contract
	Header  string
	Secrets []SecretConfig
	// Audience, Issuer and ServiceAccount are for tokens of OpenID Connect.
	Audience, Issuer, ServiceAccount string
	// PublicURL is the address that the provider posts to, for schemes that sign it. "" takes it from the request.
	PublicURL string
	// TopicARNs are the topics of SNS that may confirm and deliver.
	TopicARNs []string
	// VerifyToken answers the handshakes of Meta and WebSub.
	VerifyToken string
	// AllowAddresses are networks; a delivery from elsewhere is rejected. Empty allows all.
	AllowAddresses []string
	// ClientCertificate is the subject name or SAN that a client certificate must have. "" does not look.
	ClientCertificate string
	// Scheme is the declaration of type custom, in the form that libs/webhook documents.
	Scheme json.RawMessage
}

// Listener is a listener that is ready for deliveries: its verification and its directives are compiled once, when
// its configuration is read. A configuration that nothing can be verified with makes a listener that rejects every
// delivery. It is immutable, and safe for concurrent use.
type Listener struct {
	name, catalogPath, source   string
	playbook, payloadFrom, pool string
	parent                      *int64          // the execution that NoETL files deliveries under
	credentials                 map[string]bool // headers that stay behind, in lower case
	verifier                    verifier
	acceptedAnswer              *webhook.Answer // what the sender insists on
	verifyType                  string
	senderPatience              time.Duration
	rules                       block
	badDirectives               error // why rules is empty
	bothForms                   bool  // of a large payload
	compiled                    *rules.Set
	badRules                    error // why compiled is nil

	config  ListenerConfig // without its secrets
	version string         // the hash of config
}

// Version names the configuration of the listener, secrets aside: two that are the same have the same.
func (l Listener) Version() string { return l.version }

// MaxBody is how large a delivery may be, in bytes; 0 leaves it to the gateway.
func (l Listener) MaxBody() int64 { return l.config.MaxBody }

// encode returns the configuration as it is kept for deliveries that refer to it. Nothing in it cannot be encoded.
func (c ListenerConfig) encode() []byte {
	text, err := json.Marshal(c)
	if err != nil { // raw JSON that is none; the compiler of directives has said so
		c.Directives, c.Rules.Schema, c.Verify.Scheme = nil, nil, nil
		text, _ = json.Marshal(c)
	}
	return text
}

// verify decides whether a delivery is genuine. The zero value's never are. The detail is for both.
func (l Listener) verify(ctx context.Context, trust Trust, d DeliverRequest) (Verified, error) {
	if l.verifier == nil {
		l.verifier = newVerifier(VerifyConfig{})
	}
	result, err := l.verifier.verify(ctx, trust, d)
	return Verified{ID: result.ID, Detail: detailOf(l.verifyType, result, err)}, err
}

// NewListener compiles a configuration.
func NewListener(c ListenerConfig) Listener {
	l := Listener{
		name: c.Name, catalogPath: c.CatalogPath, source: c.Source,
		playbook: c.Playbook, payloadFrom: c.PayloadFrom, pool: c.ExecutionPool,
		bothForms: c.BothForms,
		verifier:  newVerifier(c.Verify), verifyType: c.Verify.Type,
		senderPatience: senderPatience(c.Verify.Type),
		credentials: map[string]bool{
			"authorization": true, "cookie": true, "proxy-authorization": true, "x-signature": true,
			strings.ToLower(c.Verify.Header): true,
		},
	}
	if scheme, err := schemeOf(c.Verify); err == nil {
		for _, name := range scheme.SecretHeaders() {
			l.credentials[name] = true
		}
		if scheme.Accepted.Status != 0 {
			l.acceptedAnswer = &scheme.Accepted
		}
	}
	if parent, err := strconv.ParseInt(c.SubscriptionID, 10, 64); err == nil {
		l.parent = &parent
	}
	l.rules, l.badDirectives = parseBlock(c.Directives)
	l.compiled, l.badRules = compileRules(c)
	l.config = c.WithoutSecrets()
	l.version = c.Version()
	return l
}
