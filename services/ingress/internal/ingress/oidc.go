package ingress

import (
	"context"
	"crypto/subtle"
	"strings"

	"github.com/noetl/gateway/libs/webhook"
)

// maxOIDCToken bounds a token, in bytes; Google's have about 900.
const maxOIDCToken = 8 << 10

// oidcVerifier checks a token of OpenID Connect: signed by the issuer for this audience, and, if the configuration
// names one, for this account.
type oidcVerifier struct {
	issuer            string // empty for Google
	audience, account string
	subject           bool // whether account may be the token's subject
	who               string
}

// newPubSubVerifier checks the token that Pub/Sub pushes with (cloud.google.com/pubsub, "Authenticate push
// subscriptions"): signed by Google, and for the service account that the subscription was given.
func newPubSubVerifier(c VerifyConfig) verifier {
	if c.Audience == "" || c.ServiceAccount == "" {
		return rejecting{Misconfigured, "this listener has no audience or no service account to verify with"}
	}
	return oidcVerifier{audience: c.Audience, account: c.ServiceAccount, who: "Google"}
}

// newOIDCVerifier checks tokens of any issuer, such as those of CloudEvents over HTTP.
func newOIDCVerifier(c VerifyConfig) verifier {
	if c.Audience == "" || c.Issuer == "" {
		return rejecting{Misconfigured, "this listener has no audience or no issuer to verify with"}
	}
	return oidcVerifier{
		issuer: c.Issuer, audience: c.Audience, account: c.ServiceAccount, subject: true, who: "the issuer",
	}
}

func (v oidcVerifier) verify(ctx context.Context, trust Trust, d DeliverRequest) (webhook.Result, error) {
	return webhook.Result{}, v.check(ctx, trust.Tokens, d)
}

func (v oidcVerifier) check(ctx context.Context, tokens TokenVerifier, d DeliverRequest) error {
	token := bearerOf(d.header("authorization"))
	if token == "" {
		return reject(MissingToken, "the header authorization must hold an OpenID Connect token of "+v.who, nil)
	}
	if len(token) > maxOIDCToken {
		return reject(OIDCMalformed, "the token is too large", nil)
	}
	claims, err := tokens.Verify(ctx, v.issuer, token, v.audience)
	if err != nil {
		return err
	}
	if v.account == "" || v.subject && same(claims.Subject, v.account) {
		return nil
	}
	if !same(claims.Email, v.account) {
		if claims.Email == "" {
			return reject(OIDCUnverified, "the token names no account", nil)
		}
		return reject(OIDCAccount, "the token is for another service account", nil)
	}
	if !claims.EmailVerified {
		return reject(OIDCUnverified, "the token's account is not verified", nil)
	}
	return nil
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// handshake answers the preflight of CloudEvents.
func (v oidcVerifier) handshake(_ context.Context, _ Trust, d DeliverRequest) (webhook.Answer, bool, error) {
	if !v.subject {
		return webhook.Answer{}, false, nil
	}
	answer, is, err := webhook.CloudEvents(d.webhook())
	return answer, is, asFault(err)
}

// bearerOf cuts off the scheme, if there is one.
func bearerOf(value string) string {
	if scheme, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(rest)
	}
	return value
}
