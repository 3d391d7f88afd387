package ingress

import (
	"context"
	"crypto/subtle"
)

const verifyPubSub = "pubsub_oidc"

// maxOIDCToken bounds a token, in bytes; Google's have about 900.
const maxOIDCToken = 8 << 10

// pubSubVerifier checks the token that Pub/Sub pushes with (cloud.google.com/pubsub, "Authenticate
// push subscriptions"): signed by Google for this audience, and for the service account that the
// subscription was given.
type pubSubVerifier struct{ audience, account string }

func newPubSubVerifier(c VerifyConfig) verifier {
	if c.Audience == "" || c.ServiceAccount == "" {
		return rejecting{Misconfigured, "this listener has no audience or no service account to verify with"}
	}
	return pubSubVerifier{c.Audience, c.ServiceAccount}
}

func (v pubSubVerifier) verify(ctx context.Context, tokens TokenVerifier, d DeliverRequest) error {
	token := bearerOf(d.header("authorization"))
	if token == "" {
		return reject(MissingToken, "the header authorization must hold an OpenID Connect token of Google", nil)
	}
	if len(token) > maxOIDCToken {
		return reject(OIDCMalformed, "the token is too large", nil)
	}
	claims, err := tokens.Verify(ctx, token, v.audience)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(claims.Email), []byte(v.account)) != 1 {
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
