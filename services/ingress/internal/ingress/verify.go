package ingress

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/webhook"
)

// Verification types that are no presets of libs/webhook.
const (
	verifyPubSub = "pubsub_oidc"
	verifyOIDC   = "oidc"
	verifyCustom = "custom"
)

// Trust is what verification asks of others.
type Trust struct {
	Tokens TokenVerifier
	// Certificates are the senders' own; nil when they cannot be fetched.
	Certificates *webhook.Certificates
}

// Verified is a genuine delivery.
type Verified struct {
	// ID is what the sender calls the delivery, and empty if it does not say.
	ID     string
	Detail ingresswire.Verification
}

// verifier decides whether a delivery comes from who knows the listener's secret.
type verifier interface {
	verify(ctx context.Context, trust Trust, d DeliverRequest) (webhook.Result, error)
	// handshake answers a request with which a sender checks the endpoint; false is none.
	handshake(ctx context.Context, trust Trust, d DeliverRequest) (webhook.Answer, bool, error)
}

func newVerifier(c VerifyConfig) verifier {
	v := newProof(c)
	if _, none := v.(rejecting); none || len(c.AllowAddresses) == 0 && c.ClientCertificate == "" {
		return v
	}
	return newConditions(c, v)
}

func newProof(c VerifyConfig) verifier {
	switch c.Type {
	case verifyPubSub:
		return newPubSubVerifier(c)
	case verifyOIDC:
		return newOIDCVerifier(c)
	}
	scheme, err := schemeOf(c)
	if err != nil {
		return rejecting{Misconfigured, err.Error()}
	}
	if scheme.Name == "" {
		return rejecting{Unsupported, "this listener's verification type is not supported"}
	}
	secrets := make([]webhook.Secret, 0, len(c.Secrets))
	for _, s := range c.Secrets {
		secrets = append(secrets, webhook.Secret{Value: s.Value, Expires: s.Expires})
	}
	v, err := webhook.Compile(scheme, webhook.Options{
		Secrets: secrets, Header: c.Header, PublicURL: c.PublicURL, Topics: c.TopicARNs, VerifyToken: c.VerifyToken,
	})
	if err != nil {
		return rejecting{Misconfigured, messageOf(err)}
	}
	return schemeVerifier{v}
}

// schemeOf returns the scheme of a configuration; its name is empty if there is none.
func schemeOf(c VerifyConfig) (webhook.Scheme, error) {
	if c.Type != verifyCustom {
		scheme, _ := webhook.Preset(c.Type)
		return scheme, nil
	}
	scheme, err := webhook.ParseScheme(c.Scheme)
	scheme.Name = verifyCustom
	return scheme, err
}

func messageOf(err error) string {
	if r, ok := errors.AsType[*webhook.RejectionError](err); ok {
		return r.Message
	}
	return err.Error()
}

// patience of Google's Pub/Sub, which waits for 10 s unless the subscription says otherwise.
const pubSubPatience = 9 * time.Second

// senderPatience is how long the sender of a verification type waits for an answer, and 0 if that is not known.
func senderPatience(verifyType string) time.Duration {
	if verifyType == verifyPubSub {
		return pubSubPatience
	}
	scheme, _ := webhook.Preset(verifyType)
	return scheme.Patience
}

// rejecting is the verifier of a configuration that nothing can be verified with.
type rejecting struct {
	reason  Reason
	message string
}

func (r rejecting) verify(context.Context, Trust, DeliverRequest) (webhook.Result, error) {
	return webhook.Result{}, reject(r.reason, r.message, nil)
}

func (rejecting) handshake(context.Context, Trust, DeliverRequest) (webhook.Answer, bool, error) {
	return webhook.Answer{}, false, nil
}

// schemeVerifier verifies by a scheme.
type schemeVerifier struct{ *webhook.Verifier }

func (v schemeVerifier) verify(ctx context.Context, trust Trust, d DeliverRequest) (webhook.Result, error) {
	result, err := v.Verify(ctx, trust.Certificates, d.webhook(), time.Now())
	return result, asFault(err)
}

func (v schemeVerifier) handshake(ctx context.Context, trust Trust, d DeliverRequest) (webhook.Answer, bool, error) {
	answer, is, err := v.Handshake(ctx, trust.Certificates, d.webhook(), time.Now())
	return answer, is, asFault(err)
}

func (d DeliverRequest) webhook() webhook.Request {
	return webhook.Request{Method: cmp.Or(d.Method, "POST"), URL: d.URL, Header: d.Headers, Body: d.Body}
}

// asFault gives a rejection the status of its reason.
func asFault(err error) error {
	var r *webhook.RejectionError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &r):
		return err
	case r.Reason == webhook.KeysUnavailable:
		return reject(JWKSError, r.Message, r)
	default:
		return reject(Reason(r.Reason), r.Message, r)
	}
}

// detailOf describes for operators how a delivery was checked.
func detailOf(verifyType string, result webhook.Result, err error) ingresswire.Verification {
	out := ingresswire.Verification{Type: verifyType, Result: "verified", Secret: result.Secret}
	explanation := result.Explanation
	if err != nil {
		out.Result, out.Detail = reasonAndMessage(err)
		if r, ok := errors.AsType[*webhook.RejectionError](err); ok {
			explanation = r.Explanation
		}
	}
	out.SignedString, out.SignedSHA256 = explanation.SignedString, explanation.SignedSHA256
	if explanation.HasSkew {
		seconds := explanation.Skew.Seconds()
		out.SkewSeconds = &seconds
	}
	return out
}
