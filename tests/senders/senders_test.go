// Package senders_test holds the webhook presets against libraries that the senders, or others, wrote: what they sign
// is accepted, and what a sample signs is accepted by them.
package senders_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	paddle "github.com/PaddleHQ/paddle-go-sdk/v3"
	"github.com/PagerDuty/go-pagerduty/webhookv3"
	"github.com/bwmarrin/discordgo"
	"github.com/google/go-github/v74/github"
	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"github.com/slack-go/slack"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	stripe "github.com/stripe/stripe-go/v82/webhook"
	twilio "github.com/twilio/twilio-go/client"

	"github.com/noetl/gateway/libs/webhook"
)

const address = "https://gw.example.com/ingress/l?a=b"

// accept is a library's verdict on a request.
type accept func(t *testing.T, r webhook.Request, secret string) bool

func libraries() map[string]accept {
	return map[string]accept{
		"stripe": func(_ *testing.T, r webhook.Request, secret string) bool {
			return stripe.ValidatePayload(r.Body, r.Header["stripe-signature"][0], secret) == nil
		},
		"standard_webhooks": func(t *testing.T, r webhook.Request, secret string) bool {
			t.Helper()
			wh, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			return wh.Verify(r.Body, headers(r)) == nil
		},
		"slack": func(_ *testing.T, r webhook.Request, secret string) bool {
			v, err := slack.NewSecretsVerifier(headers(r), secret)
			if err != nil {
				return false
			}
			_, err = v.Write(r.Body)
			return err == nil && v.Ensure() == nil
		},
		"github": func(_ *testing.T, r webhook.Request, secret string) bool {
			return github.ValidateSignature(r.Header["x-hub-signature-256"][0], r.Body, []byte(secret)) == nil
		},
		"twilio": func(t *testing.T, r webhook.Request, secret string) bool {
			t.Helper()
			form, err := url.ParseQuery(string(r.Body))
			if err != nil {
				t.Fatal(err)
			}
			params := map[string]string{}
			for name := range form {
				params[name] = form.Get(name)
			}
			v := twilio.NewRequestValidator(secret)
			return v.Validate(r.URL, params, r.Header["x-twilio-signature"][0])
		},
		"paddle": func(t *testing.T, r webhook.Request, secret string) bool {
			t.Helper()
			ok, err := paddle.NewWebhookVerifier(secret).Verify(request(t, r))
			return err == nil && ok
		},
		"pagerduty": func(t *testing.T, r webhook.Request, secret string) bool {
			t.Helper()
			return webhookv3.VerifySignature(request(t, r), secret) == nil
		},
		"discord": func(t *testing.T, r webhook.Request, public string) bool {
			t.Helper()
			key, err := hex.DecodeString(public)
			if err != nil {
				t.Fatal(err)
			}
			return discordgo.VerifyInteraction(request(t, r), ed25519.PublicKey(key))
		},
		"sendgrid": func(t *testing.T, r webhook.Request, public string) bool {
			t.Helper()
			public = strings.NewReplacer(
				"-----BEGIN PUBLIC KEY-----", "", "-----END PUBLIC KEY-----", "", "\n", "",
			).Replace(public)
			key, err := eventwebhook.ConvertPublicKeyBase64ToECDSA(public)
			if err != nil {
				t.Fatal(err)
			}
			ok, err := eventwebhook.VerifySignature(key, r.Body,
				r.Header["x-twilio-email-event-webhook-signature"][0],
				r.Header["x-twilio-email-event-webhook-timestamp"][0])
			return err == nil && ok
		},
	}
}

func headers(r webhook.Request) http.Header {
	h := http.Header{}
	for name, values := range r.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

func request(t *testing.T, r webhook.Request) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers(r)
	return req
}

// keys returns what signs, and what the listener has.
func keys(t *testing.T, scheme webhook.Scheme, number int) (private, shared string) {
	t.Helper()
	m := scheme.Methods[0]
	if m.Algorithm == "ed25519" || strings.HasPrefix(m.Algorithm, "ecdsa") {
		private, shared, err := webhook.GenerateKey(m)
		if err != nil {
			t.Fatal(err)
		}
		return private, shared
	}
	secret := m.KeyPrefix + strings.Repeat(string(rune('a'+number)), 32)
	return secret, secret
}

func verifier(t *testing.T, scheme webhook.Scheme, shared string) *webhook.Verifier {
	t.Helper()
	v, err := webhook.Compile(scheme, webhook.Options{Secrets: []webhook.Secret{{Value: shared}}, PublicURL: address})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Our samples must look to the senders' own libraries as their deliveries do: good ones, by another key, too old, and
// with a changed byte. Our verifier says the same of each.
func TestLibrariesAgreeWithThePresets(t *testing.T) {
	t.Parallel()
	for name, accepts := range libraries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scheme, ok := webhook.Preset(name)
			if !ok {
				t.Fatal("no such preset")
			}
			private, shared := keys(t, scheme, 0)
			stranger, _ := keys(t, scheme, 1)
			v := verifier(t, scheme, shared)
			sample := func(private string, at time.Time) webhook.Request {
				r, err := webhook.Sample(scheme, webhook.SampleInput{Secret: private, URL: address, Now: at})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			check := func(what string, r webhook.Request, want bool) {
				t.Helper()
				_, err := v.Verify(t.Context(), nil, r, time.Now())
				if ours, theirs := err == nil, accepts(t, r, shared); ours != want || theirs != want {
					t.Errorf("%s: ours %v (%v), theirs %v, want %v", what, ours, err, theirs, want)
				}
			}
			good := sample(private, time.Now())
			check("good", good, true)
			check("another key", sample(stranger, time.Now()), false)
			changed := good
			changed.Body = bytes.Replace(good.Body, good.Body[5:6], []byte("Z"), 1)
			check("a changed byte", changed, false)
			if name == "discord" || name == "pagerduty" { // whose libraries do not look at the time
				return
			}
			if scheme.Timestamp.ToleranceSecs > 0 {
				check("too old", sample(private, time.Now().Add(-6*time.Minute)), false)
			}
		})
	}
}

func TestWhatTheirSignersMakeIsAccepted(t *testing.T) {
	t.Parallel()
	scheme, _ := webhook.Preset("stripe")
	signed := stripe.GenerateTestSignedPayload(&stripe.UnsignedPayload{
		Payload: []byte(`{"id":"evt_1"}`), Secret: "whsec_x",
	})
	got, err := verifier(t, scheme, "whsec_x").Verify(t.Context(), nil, webhook.Request{
		Header: map[string][]string{"stripe-signature": {signed.Header}}, Body: signed.Payload,
	}, time.Now())
	if err != nil || got.ID != "evt_1" {
		t.Errorf("Stripe: %+v %v", got, err)
	}
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	signature, err := wh.Sign("msg_1", at, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	scheme, _ = webhook.Preset("standard_webhooks")
	_, err = verifier(t, scheme, secret).Verify(t.Context(), nil, webhook.Request{
		Header: map[string][]string{
			"webhook-id": {"msg_1"}, "webhook-signature": {"v1,AAAA " + signature},
			"webhook-timestamp": {strconv.FormatInt(at.Unix(), 10)},
		}, Body: []byte(`{}`),
	}, at)
	if err != nil {
		t.Errorf("Standard Webhooks: %v", err)
	}
}

func TestTwilioSignsJSONByTheHashInTheURL(t *testing.T) {
	t.Parallel()
	scheme, _ := webhook.Preset("twilio")
	body := []byte(`{"hello":"world"}`)
	r, err := webhook.Sample(scheme, webhook.SampleInput{Secret: "t", Body: body, URL: address, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	v := twilio.NewRequestValidator("t")
	if !v.ValidateBody(r.URL, r.Body, r.Header["x-twilio-signature"][0]) {
		t.Error("Twilio's library rejects it")
	}
	if v.ValidateBody(r.URL, append(body, ' '), r.Header["x-twilio-signature"][0]) {
		t.Error("Twilio's library accepts another body")
	}
}
