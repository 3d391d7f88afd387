package webhook

// cloudPresets are the clouds' own senders. Google's Pub/Sub authenticates with tokens of OpenID Connect, which are not
// for this engine.
func cloudPresets() []Scheme {
	return []Scheme{
		{
			Name: "sns",
			Page: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
			Signature: Signature{
				From: []string{"json:Signature"}, Encoding: "base64", VersionFrom: "json:SignatureVersion",
			},
			Methods: []Method{
				{Version: "2", Algorithm: rsaSHA256, Key: "certificate"},
				{Version: "1", Algorithm: "rsa-sha1", Key: "certificate"},
			},
			Signed: "{sns}",
			ID:     []string{"json:MessageId"},
			Topic:  "json:TopicArn",
			Certificate: &Certificate{
				From:  []string{"json:SigningCertURL"},
				Hosts: []string{"sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"},
				Path:  "/SimpleNotificationService-",
			},
			Handshakes: []string{HandshakeSNS},
			Example: `{"Type":"Notification","Message":"hello","Subject":"a sample",` +
				`"Timestamp":"2026-01-02T03:04:05.000Z"}`,
		},
		{
			Name:      "eventbridge",
			Page:      "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html",
			Signature: Signature{From: []string{"header:authorization"}, Prefix: bearerScheme},
			Methods:   method(tokenName),
			ID:        []string{"json:id"},
			Patience:  patience5,
		},
		{
			Name: "eventgrid",
			Page: "https://learn.microsoft.com/en-us/azure/event-grid/security-authentication" +
				"#authenticate-event-delivery-to-webhook-endpoints",
			Signature:  Signature{From: []string{"query:token"}},
			Methods:    method(tokenName),
			Handshakes: []string{HandshakeEventGrid, HandshakeCloudEvents},
			Example:    `[{"id":"1","eventType":"hello","subject":"a","data":{}}]`,
		},
		{
			Name:       "microsoft_graph",
			Page:       "https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks",
			Signature:  Signature{From: []string{"json:value.*.clientState"}},
			Methods:    method(tokenName),
			Handshakes: []string{HandshakeGraph},
			Patience:   patience3,
			Example:    `{"value":[{"changeType":"created","resource":"me/messages/1"}]}`,
		},
	}
}
