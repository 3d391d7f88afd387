package webhook_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/noetl/gateway/libs/webhook"
)

func TestTwilioSignsTheURLAndWhatItSaysOfTheBody(t *testing.T) {
	t.Parallel()
	s := newSender(t, "twilio", 0)
	form := s.send(t, now())
	for _, public := range []string{listener, "https://gw.example.com:443/ingress/l"} {
		v := s.verifier(t, func(o *webhook.Options) { o.PublicURL = public })
		accepts(t, v, form, now())
	}
	rejects(t, s.verifier(t, func(o *webhook.Options) { o.PublicURL = "https://other/" }), form, now(), "bad_signature")
	own := s.verifier(t, func(o *webhook.Options) { o.PublicURL = "" })
	accepts(t, own, form, now())
	form.URL = ""
	rejects(t, own, form, now(), webhook.Misconfigured)

	body := []byte(`{"hello":1}`)
	r, err := webhook.Sample(s.scheme, webhook.SampleInput{Secret: s.private, Body: body, URL: listener, Now: now()})
	if err != nil {
		t.Fatal(err)
	}
	v := s.verifier(t)
	accepts(t, v, r, now())
	r.Body = []byte(`{"hello":2}`)
	if e := rejects(t, v, r, now(), webhook.BadSignature); e.Differs != webhook.DiffersBody {
		t.Errorf("%+v", e)
	}
	// A signature of a URL alone, such as a GET's, covers no body.
	get := s.send(t, now())
	get.Body, get.URL = nil, listener
	bare, err := webhook.Sample(s.scheme, webhook.SampleInput{
		Secret: s.private, Body: []byte("&"), URL: listener, Now: now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	bare.URL, bare.Body = listener, body
	rejects(t, v, bare, now(), webhook.MissingSignature)
	bare.Header["content-type"] = []string{"application/x-www-form-urlencoded; charset=utf-8"}
	rejects(t, v, bare, now(), webhook.BadSignature)
}

func TestHubSpotDecodesTheURL(t *testing.T) {
	t.Parallel()
	s := newSender(t, "hubspot", 0)
	for signed, received := range map[string]string{
		"https://gw/ingress/l?a=b:c":   "https://gw/ingress/l?a=b%3Ac",
		"https://gw/ingress/l?a=b%20c": "https://gw/ingress/l?a=b%20c",
		"https://gw/ingress/l?a=@":     "https://gw/ingress/l?a=%40",
	} {
		r, err := webhook.Sample(s.scheme, webhook.SampleInput{Secret: s.private, URL: signed, Now: now()})
		if err != nil {
			t.Fatal(err)
		}
		r.URL = received
		accepts(t, s.verifier(t, func(o *webhook.Options) { o.PublicURL = "" }), r, now())
	}
}

// A body that names a member twice is read differently by different readers: what was signed may not be what counts.
func TestAMemberThatIsThereTwiceIsRejected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ preset, at, add string }{
		{"sns", `"Message":`, `"Message":"evil","Message":`},
		{"sns", `"Message":`, `"\u004dessage":"evil","Message":`},
		{"adyen", `"value":`, `"value":1,"value":`},
		{"mailgun", `"token":`, `"token":"x","token":`},
		{"microsoft_graph", `"clientState":`, `"clientState":"x","clientState":`},
	} {
		s := newSender(t, c.preset, 0)
		v, r := s.verifier(t), s.send(t, now())
		accepts(t, v, r, now())
		r.Body = []byte(strings.Replace(string(r.Body), c.at, c.add, 1))
		if _, rejected := verify(t, v, r, now()); rejected == nil {
			t.Errorf("%s: accepted %s", c.preset, r.Body)
		}
	}
	s := newSender(t, "adyen", 0)
	r := s.send(t, now())
	two := strings.Replace(string(r.Body), `"notificationItems":[`, `"notificationItems":[`, 1)
	r.Body = []byte(strings.Replace(two, `}}]}`, `}},{"NotificationRequestItem":{}}]}`, 1))
	rejects(t, s.verifier(t), r, now(), webhook.BadSignature)
}

func TestEveryItemMustHaveTheToken(t *testing.T) {
	t.Parallel()
	s := newSender(t, "microsoft_graph", 0)
	v := s.verifier(t)
	body := func(states ...string) webhook.Request {
		items := make([]string, 0, len(states))
		for _, state := range states {
			items = append(items, fmt.Sprintf(`{"clientState":%q}`, state))
		}
		return webhook.Request{Method: "POST", URL: listener, Body: []byte(`{"value":[` + strings.Join(items, ",") + `]}`)}
	}
	accepts(t, v, body(s.shared, s.shared), now())
	rejects(t, v, body(s.shared, "evil"), now(), webhook.BadToken)
	rejects(t, v, body(s.shared, ""), now(), webhook.BadToken)
	many := make([]string, 0, 40)
	for range 39 {
		many = append(many, s.shared)
	}
	accepts(t, v, body(many...), now())
	rejects(t, v, body(append(many, "evil")...), now(), webhook.BadToken)
	rejects(t, v, body(), now(), webhook.MissingToken)
}

func TestTheExplanationHashesWhatWasSigned(t *testing.T) {
	t.Parallel()
	s := newSender(t, "slack", 0)
	r := newSender(t, "slack", 1).send(t, now())
	e := rejects(t, s.verifier(t), r, now(), webhook.BadSignature)
	sum := sha256.Sum256([]byte("v0:" + r.Header["x-slack-request-timestamp"][0] + ":" + string(r.Body)))
	if e.SignedString != "v0:{timestamp}:{body}" || e.SignedSHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v", e)
	}
}

func TestASchemeOfTheirOwn(t *testing.T) {
	t.Parallel()
	scheme, err := webhook.ParseScheme([]byte(`{
		"signature": {"from": ["header:X-Sig"], "encoding": "base64url"},
		"methods": [{"algorithm": "hmac-sha512", "key": "base64"}],
		"signed": "{method}\n{header:x-nonce}\n{timestamp}\n{body}", "id": ["header:x-nonce"],
		"timestamp": {"from": ["header:x-time"], "unit": "ms", "tolerance_secs": 60}}`))
	if err != nil {
		t.Fatal(err)
	}
	s := sender{scheme: scheme, private: "QUJDREVG", shared: "QUJDREVG"}
	checkTimes(t, s, s.verifier(t))
	if got := accepts(t, s.verifier(t), s.send(t, now()), now()); got.ID != "id-1" {
		t.Errorf("%+v", got)
	}
}

func TestSchemesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":          `{}`,
		"an unknown key": `{"x":1}`,
		"two values":     `{}{}`,
		"no method":      `{"signature":{"from":["header:a"],"encoding":"hex"},"signed":"{body}"}`,
		"a place":        `{"signature":{"from":["a"],"encoding":"hex"},"methods":[{"algorithm":"hmac-sha1"}],"signed":"x"}`,
		"an algorithm":   `{"signature":{"from":["header:a"],"encoding":"hex"},"methods":[{"algorithm":"md5"}],"signed":"x"}`,
		"an encoding":    `{"signature":{"from":["header:a"]},"methods":[{"algorithm":"hmac-sha1"}],"signed":"x"}`,
		"a template":     `{"signature":{"from":["header:a"],"encoding":"hex"},"methods":[{"algorithm":"hmac-sha1"}],"signed":"{b"}`,
		"a field":        `{"signature":{"from":["header:a"],"encoding":"hex"},"methods":[{"algorithm":"hmac-sha1"}],"signed":"{b}"}`,
		"a raw public key": `{"signature":{"from":["header:a"],"encoding":"hex"},"methods":[{"algorithm":"ed25519"}],
			"signed":"{body}"}`,
	} {
		scheme, err := webhook.ParseScheme([]byte(text))
		if err == nil {
			_, err = webhook.Compile(scheme, webhook.Options{Secrets: []webhook.Secret{{Value: "s"}}})
		}
		if err == nil {
			t.Errorf("%s: compiled", name)
		}
	}
}

func TestSecretsThatCannotBe(t *testing.T) {
	t.Parallel()
	for preset, secret := range map[string]string{
		"standard_webhooks": "whsec_!private!", "discord": "!private!", "sendgrid": "!private!", "adyen": "!private!",
		"stripe": "", "sns": "",
	} {
		scheme, _ := webhook.Preset(preset)
		_, err := webhook.Compile(scheme, webhook.Options{Secrets: []webhook.Secret{{Value: secret}}})
		if err == nil || strings.Contains(err.Error(), "private") {
			t.Errorf("%s: %v", preset, err)
		}
	}
	scheme, _ := webhook.Preset("github")
	nine := make([]webhook.Secret, 9)
	if _, err := webhook.Compile(scheme, webhook.Options{Secrets: nine}); err == nil {
		t.Error("nine secrets")
	}
	secret := webhook.Secret{Value: "private"}
	if text := fmt.Sprintf("%v %+v %#v", secret, secret, []webhook.Secret{secret}); strings.Contains(text, "private") {
		t.Error(text)
	}
}

func TestAVerifierIsSharedByManyDeliveries(t *testing.T) {
	t.Parallel()
	s := newSender(t, "stripe", 0)
	v, good, bad := s.verifier(t), s.send(t, now()), newSender(t, "stripe", 1).send(t, now())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				accepts(t, v, good, now())
				rejects(t, v, bad, now(), webhook.BadSignature)
			}
		})
	}
	wg.Wait()
}
