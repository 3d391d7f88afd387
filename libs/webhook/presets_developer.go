package webhook

// developerPresets are senders about code, deployments and incidents.
func developerPresets() []Scheme {
	return []Scheme{
		{
			Name:      "github",
			Page:      "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
			Signature: inHex("x-hub-signature-256", sha256Sign),
			Methods:   method(hmacSHA256),
			Signed:    theBody,
			ID:        []string{"header:x-github-delivery"},
			Patience:  patience10,
		},
		{
			Name:      "gitlab",
			Page:      "https://docs.gitlab.com/user/project/integrations/webhooks/",
			Signature: Signature{From: []string{"header:x-gitlab-token"}},
			Methods:   method(tokenName),
			ID:        []string{"header:idempotency-key", "header:x-gitlab-event-uuid"},
		},
		{
			Name:      "bitbucket",
			Page:      "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
			Signature: inHex("x-hub-signature", sha256Sign),
			Methods:   method(hmacSHA256),
			Signed:    theBody,
			ID:        []string{"header:x-request-uuid"},
		},
		{
			Name:      "circleci",
			Page:      "https://circleci.com/docs/webhooks/",
			Signature: params("circleci-signature", ","),
			Methods:   []Method{{Version: "v1", Algorithm: hmacSHA256}},
			Signed:    theBody,
			ID:        []string{"json:id"},
			Patience:  patience5,
		},
		{
			Name:      "vercel",
			Page:      "https://vercel.com/docs/webhooks/webhooks-api#securing-webhooks",
			Signature: inHex("x-vercel-signature", ""),
			Methods:   method(hmacSHA1),
			Signed:    theBody,
			ID:        []string{"json:id"},
		},
		{
			Name:      "linear",
			Page:      "https://linear.app/developers/webhooks",
			Signature: inHex("linear-signature", ""),
			Methods:   method(hmacSHA256),
			Signed:    theBody,
			ID:        []string{"header:linear-delivery"},
			Timestamp: Timestamp{From: []string{"json:webhookTimestamp"}, Unit: "ms", ToleranceSecs: fiveMinutes},
			Patience:  patience5,
		},
		{
			Name:      "pagerduty",
			Page:      "https://developer.pagerduty.com/docs/webhooks/webhook-signatures/",
			Signature: params("x-pagerduty-signature", ","),
			Methods:   []Method{{Version: "v1", Algorithm: hmacSHA256}},
			Signed:    theBody,
			ID:        []string{"json:event.id"},
			Patience:  patience5,
		},
		{
			Name:      "sentry",
			Page:      "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
			Signature: inHex("sentry-hook-signature", ""),
			Methods:   method(hmacSHA256),
			Signed:    theBody,
			ID:        []string{"header:request-id"},
		},
	}
}
