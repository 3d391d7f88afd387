package webhook

// paymentPresets are senders about money, shops and contracts.
func paymentPresets() []Scheme {
	return []Scheme{
		{
			Name:      "stripe",
			Page:      "https://docs.stripe.com/webhooks/signature",
			Signature: params("stripe-signature", ","),
			Methods:   []Method{{Version: "v1", Algorithm: hmacSHA256}}, // the key is the whole text whsec_…
			Signed:    "{timestamp}.{body}",
			ID:        []string{"json:id"},
			Timestamp: Timestamp{From: []string{"param:t"}, Unit: "s", ToleranceSecs: fiveMinutes},
		},
		{
			Name:      "paddle",
			Page:      "https://developer.paddle.com/webhooks/signature-verification",
			Signature: params("paddle-signature", ";"),
			Methods:   []Method{{Version: "h1", Algorithm: hmacSHA256}},
			Signed:    "{timestamp}:{body}",
			ID:        []string{"json:event_id"},
			// No tolerance: a delivery that Paddle repeats later keeps its timestamp.
			Timestamp: Timestamp{From: []string{"param:ts"}, Unit: "s"},
			Patience:  patience5,
		},
		{
			Name:      "paypal",
			Page:      "https://developer.paypal.com/api/rest/webhooks/rest/",
			Signature: inBase64("paypal-transmission-sig", ""),
			Methods:   []Method{{Algorithm: rsaSHA256, Key: "certificate"}},
			// The secret is the id of the webhook. Of the body a CRC is signed, which finds errors and no forgeries
			// by whoever has a genuine delivery.
			Signed:    "{header:paypal-transmission-id}|{timestamp}|{secret}|{crc32}",
			ID:        []string{"json:id"},
			Timestamp: Timestamp{From: []string{"header:paypal-transmission-time"}, Unit: "rfc3339"},
			Certificate: &Certificate{
				From: []string{"header:paypal-cert-url"},
				Hosts: []string{
					"api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com",
				},
				Path: "/v1/notifications/certs/",
			},
		},
		{
			Name: "adyen",
			Page: "https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/",
			Signature: Signature{
				From: []string{"json:" + adyenItem + "additionalData.hmacSignature"}, Encoding: "base64",
			},
			Methods: []Method{{Algorithm: hmacSHA256, Key: "hex"}},
			Signed: "{json:" + adyenItem + "pspReference}:{json:" + adyenItem + "originalReference}:" +
				"{json:" + adyenItem + "merchantAccountCode}:{json:" + adyenItem + "merchantReference}:" +
				"{json:" + adyenItem + "amount.value}:{json:" + adyenItem + "amount.currency}:" +
				"{json:" + adyenItem + "eventCode}:{json:" + adyenItem + "success}",
			ID:       []string{"json:" + adyenItem + "eventCode+json:" + adyenItem + "pspReference"},
			Absent:   []string{"json:notificationItems.1"}, // JSON notifications have one item
			Accepted: Answer{Status: 200, ContentType: textPlain, Body: []byte("[accepted]")},
			Example: `{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{},` +
				`"amount":{"currency":"EUR","value":1130},"eventCode":"AUTHORISATION",` +
				`"merchantAccountCode":"TestMerchant","merchantReference":"order-1","pspReference":"7914073381342284",` +
				`"success":"true"}}]}`,
		},
		{
			Name:      "square",
			Page:      "https://developer.squareup.com/docs/webhooks/step3validate",
			Signature: inBase64("x-square-hmacsha256-signature", ""),
			Methods:   method(hmacSHA256),
			Signed:    "{url}{body}",
			ID:        []string{"json:event_id"},
		},
		{
			Name:      "shopify",
			Page:      "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
			Signature: inBase64("x-shopify-hmac-sha256", ""),
			Methods:   method(hmacSHA256),
			Signed:    theBody,
			ID:        []string{"header:x-shopify-webhook-id"},
			Patience:  patience5,
		},
		{
			Name:      "woocommerce",
			Page:      "https://woocommerce.com/document/webhooks/",
			Signature: inBase64("x-wc-webhook-signature", ""),
			Methods:   method(hmacSHA256),
			Signed:    theBody,
			ID:        []string{"header:x-wc-webhook-delivery-id"},
			Patience:  patience5,
		},
		{
			Name: "docusign",
			Page: "https://www.docusign.com/blog/developers/" +
				"manually-authenticating-hmac-signatures-docusign-connect-webhook-configurations",
			Signature: Signature{
				From: []string{ // one for each key of the account
					"header:x-docusign-signature-1", "header:x-docusign-signature-2", "header:x-docusign-signature-3",
					"header:x-docusign-signature-4", "header:x-docusign-signature-5", "header:x-docusign-signature-6",
					"header:x-docusign-signature-7", "header:x-docusign-signature-8",
				},
				Encoding: "base64",
			},
			Methods: method(hmacSHA256),
			Signed:  theBody,
		},
		{
			Name:      "calendly",
			Page:      "https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures",
			Signature: params("calendly-webhook-signature", ","),
			Methods:   []Method{{Version: "v1", Algorithm: hmacSHA256}},
			Signed:    "{timestamp}.{body}",
			Timestamp: Timestamp{From: []string{"param:t"}, Unit: "s", ToleranceSecs: fiveMinutes},
		},
	}
}

const adyenItem = "notificationItems.0.NotificationRequestItem."
