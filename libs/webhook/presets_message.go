package webhook

// messagePresets are senders of messages, calls, mail and support.
func messagePresets() []Scheme {
	return []Scheme{
		{
			Name:       "slack",
			Page:       "https://docs.slack.dev/authentication/verifying-requests-from-slack",
			Signature:  inHex("x-slack-signature", "v0="),
			Methods:    method(hmacSHA256),
			Signed:     "v0:{timestamp}:{body}",
			ID:         []string{"json:event_id"},
			Handshakes: []string{HandshakeSlack},
			Patience:   patience3,
			Timestamp: Timestamp{
				From: []string{"header:x-slack-request-timestamp"}, Unit: "s", ToleranceSecs: fiveMinutes,
			},
		},
		{
			Name:       "meta",
			Page:       "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
			Signature:  inHex("x-hub-signature-256", sha256Sign),
			Methods:    method(hmacSHA256),
			Signed:     theBody,
			Handshakes: []string{HandshakeHub},
		},
		{
			Name:      "twilio",
			Page:      "https://www.twilio.com/docs/usage/security#validating-requests",
			Signature: inBase64("x-twilio-signature", ""),
			Methods:   method(hmacSHA1),
			Signed:    "{url}{form}",
			URLForms:  []string{"port"},
			BodyHash:  "query:bodySHA256",
			// One call or message has many callbacks with the same sid, so the sid is no id of a delivery.
			ID: []string{"header:i-twilio-idempotency-token"},
			Example: "CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030" +
				"&To=%2B18005551212",
			ExampleType: "application/x-www-form-urlencoded",
		},
		{
			Name: "sendgrid",
			Page: "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/" +
				"getting-started-event-webhook-security-features",
			Signature: inBase64("x-twilio-email-event-webhook-signature", ""),
			Methods:   []Method{{Algorithm: "ecdsa-p256-sha256", Key: "pem"}},
			Signed:    "{timestamp}{body}",
			ID:        []string{"json:0.sg_event_id"},
			Timestamp: Timestamp{From: []string{"header:x-twilio-email-event-webhook-timestamp"}, Unit: "s"},
			Example:   `[{"email":"a@example.com","event":"delivered"}]`,
		},
		{
			Name:      "mailgun",
			Page:      "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
			Signature: Signature{From: []string{"json:signature.signature", "form:signature"}, Encoding: "hex"},
			Methods:   method(hmacSHA256),
			Signed:    "{timestamp}{id}",
			// The token is signed and the event is not, so that the token must not be used for another event.
			ID: []string{"json:signature.token", "form:token"},
			Timestamp: Timestamp{
				From: []string{"json:signature.timestamp", "form:timestamp"},
				Unit: "s", ToleranceSecs: mailgunTolerance,
			},
			Example: `{"event-data":{"event":"opened","id":"a-1"},"signature":{}}`,
		},
		{
			Name:      "telegram",
			Page:      "https://core.telegram.org/bots/api#setwebhook",
			Signature: Signature{From: []string{"header:x-telegram-bot-api-secret-token"}},
			Methods:   method(tokenName),
			ID:        []string{"json:update_id"},
		},
		{
			Name:      "discord",
			Page:      "https://discord.com/developers/docs/interactions/overview",
			Signature: inHex("x-signature-ed25519", ""),
			Methods:   []Method{{Algorithm: ed25519Name, Key: "hex"}},
			Signed:    "{timestamp}{body}",
			ID:        []string{"json:id"},
			Timestamp: Timestamp{
				From: []string{"header:x-signature-timestamp"}, Unit: "s", ToleranceSecs: fiveMinutes,
			},
			Handshakes: []string{HandshakeDiscord},
			// An interaction must be answered with a response to it: "deferred" lets the workflow follow up.
			Accepted: Answer{Status: 200, ContentType: jsonType, Body: []byte(`{"type":5}`)},
			Patience: patience3,
		},
		{
			Name:      "discord_events",
			Page:      "https://discord.com/developers/docs/events/webhook-events",
			Signature: inHex("x-signature-ed25519", ""),
			Methods:   []Method{{Algorithm: ed25519Name, Key: "hex"}},
			Signed:    "{timestamp}{body}",
			Timestamp: Timestamp{
				From: []string{"header:x-signature-timestamp"}, Unit: "s", ToleranceSecs: fiveMinutes,
			},
			Handshakes: []string{HandshakeDiscordEvents},
			Accepted:   Answer{Status: 204},
			Patience:   patience3,
		},
		{
			Name:       "twitch",
			Page:       "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
			Signature:  inHex("twitch-eventsub-message-signature", sha256Sign),
			Methods:    method(hmacSHA256),
			Signed:     "{id}{timestamp}{body}",
			ID:         []string{"header:twitch-eventsub-message-id"},
			Handshakes: []string{HandshakeTwitch},
			Patience:   patience3,
			Timestamp: Timestamp{
				From: []string{"header:twitch-eventsub-message-timestamp"}, Unit: "rfc3339", ToleranceSecs: 600,
			},
		},
		{
			Name:       "x",
			Page:       "https://docs.x.com/x-api/webhooks/quickstart",
			Signature:  inBase64("x-twitter-webhooks-signature", sha256Sign),
			Methods:    method(hmacSHA256),
			Signed:     theBody,
			Handshakes: []string{HandshakeCRC},
		},
		{
			Name:       "zoom",
			Page:       "https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events",
			Signature:  inHex("x-zm-signature", "v0="),
			Methods:    method(hmacSHA256),
			Signed:     "v0:{timestamp}:{body}",
			Timestamp:  Timestamp{From: []string{"header:x-zm-request-timestamp"}, Unit: "s"},
			Handshakes: []string{HandshakeZoom},
			Patience:   patience3,
		},
		{
			Name:      "intercom",
			Page:      "https://developers.intercom.com/docs/webhooks/setting-up-webhooks",
			Signature: inHex("x-hub-signature", "sha1="),
			Methods:   method(hmacSHA1),
			Signed:    theBody,
			ID:        []string{"json:id"},
			Patience:  patience5,
		},
		{
			Name:      "zendesk",
			Page:      "https://developer.zendesk.com/documentation/webhooks/verifying/",
			Signature: inBase64("x-zendesk-webhook-signature", ""),
			Methods:   method(hmacSHA256),
			Signed:    "{timestamp}{body}",
			ID:        []string{"header:x-zendesk-webhook-invocation-id"},
			// No tolerance: Zendesk names none, and the same invocation is repeated later.
			Timestamp: Timestamp{From: []string{"header:x-zendesk-webhook-signature-timestamp"}, Unit: "rfc3339"},
		},
		{
			Name:      "typeform",
			Page:      "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
			Signature: inBase64("typeform-signature", sha256Sign),
			Methods:   method(hmacSHA256),
			Signed:    theBody,
			ID:        []string{"json:event_id"},
		},
		{
			Name:      "hubspot",
			Page:      "https://developers.hubspot.com/docs/guides/apps/authentication/validating-requests",
			Signature: inBase64("x-hubspot-signature-v3", ""),
			Methods:   method(hmacSHA256),
			Signed:    "{method}{url}{body}{timestamp}",
			URLForms:  []string{"decoded"},
			Timestamp: Timestamp{
				From: []string{"header:x-hubspot-request-timestamp"}, Unit: "ms", ToleranceSecs: fiveMinutes,
			},
			Patience: patience5,
		},
	}
}

// mailgunTolerance is long, because Mailgun repeats a delivery for hours with the same signature (Mailgun, "Webhooks":
// retries end after 8 hours).
const mailgunTolerance = 9 * 60 * 60
