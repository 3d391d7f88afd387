package webhook_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/webhook"
)

// vector is a signature that nobody here made.
type vector struct {
	name, preset, secret, url string
	at                        int64 // seconds
	header                    map[string][]string
	body                      string
	id                        string
}

func vectors() []vector {
	return []vector{
		{
			name: "Standard Webhooks, its specification", preset: "standard_webhooks",
			secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", at: 1614265330, id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
			header: map[string][]string{
				"webhook-id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "webhook-timestamp": {"1614265330"},
				"webhook-signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
			},
			body: `{"test": 2432232314}`,
		},
		{
			name: "the same under Svix' names", preset: "svix",
			secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", at: 1614265330, id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
			header: map[string][]string{
				"svix-id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "svix-timestamp": {"1614265330"},
				"svix-signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
			},
			body: `{"test": 2432232314}`,
		},
		{
			name: "Stripe, two libraries", preset: "stripe", secret: "whsec_t", at: 1700000000,
			header: map[string][]string{"stripe-signature": {
				"t=1700000000,v1=b1dc4408550d724a60397e15a4a9bf720dc850a6b23560cd39900c624f684e7f,v0=ab",
			}},
			body: `{}`,
		},
		{
			name: "GitHub, Validating webhook deliveries", preset: "github", secret: "It's a Secret to Everybody",
			header: map[string][]string{"x-hub-signature-256": {
				"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
			}},
			body: "Hello, World!",
		},
		{
			name: "Twilio, Security", preset: "twilio", secret: "12345",
			url: "https://mycompany.com/myapp.php?foo=1&bar=2",
			header: map[string][]string{
				"x-twilio-signature": {"0/KCTR6DLpKmkAf8muzZqo1nDgQ="},
				"content-type":       {"application/x-www-form-urlencoded"},
			},
			body: "CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212",
		},
		{
			name: "Adyen's libraries", preset: "adyen",
			secret: "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
			id:     "AUTHORISATION:7914073381342284",
			body: `{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":` +
				`"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},"amount":{"value":1130,"currency":"EUR"},` +
				`"pspReference":"7914073381342284","eventCode":"AUTHORISATION","merchantAccountCode":"TestMerchant",` +
				`"merchantReference":"TestPayment-1407325143704","paymentMethod":"visa","success":"true"}}]}`,
		},
	}
}

func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, c := range vectors() {
		scheme, _ := webhook.Preset(c.preset)
		v, err := webhook.Compile(scheme, webhook.Options{Secrets: []webhook.Secret{{Value: c.secret}}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		r := webhook.Request{Method: "POST", URL: c.url, Header: c.header, Body: []byte(c.body)}
		got, err := v.Verify(t.Context(), nil, r, time.Unix(c.at, 0))
		if err != nil || c.id != "" && got.ID != c.id {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
		r.Body = append([]byte("{ "), r.Body[1:]...)
		if c.preset == "adyen" { // which signs some members, not bytes
			continue
		}
		if _, err := v.Verify(t.Context(), nil, r, time.Unix(c.at, 0)); err == nil {
			t.Errorf("%s: another body is accepted", c.name)
		}
	}
}
