package ingress

import (
	"context"
	"crypto/subtle"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

const verifyPubSub = "pubsub_oidc"

// maxOIDCToken bounds a token, in bytes; Google's have about 900.
const maxOIDCToken = 8 << 10

// verifyPubSubOIDC checks the token that Pub/Sub pushes with (cloud.google.com/pubsub, "Authenticate
// push subscriptions"): signed by Google for this audience, and for the service account that the
// subscription was given.
func (s *Service) verifyPubSubOIDC(ctx context.Context, v noetlwire.Verify, d DeliverRequest) error {
	if v.Audience == "" || v.ServiceAccount == "" {
		return reject(Misconfigured, "this listener has no audience or no service account to verify with", nil)
	}
	token := d.header("authorization")
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "bearer") {
		token = strings.TrimSpace(rest)
	}
	if token == "" {
		return reject(MissingToken, "the header authorization must hold an OpenID Connect token of Google", nil)
	}
	if len(token) > maxOIDCToken {
		return reject(OIDCMalformed, "the token is too large", nil)
	}
	claims, err := s.Tokens.Verify(ctx, token, v.Audience)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(claims.Email), []byte(v.ServiceAccount)) != 1 {
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
