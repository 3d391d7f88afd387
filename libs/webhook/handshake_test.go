package webhook_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/webhook"
)

// handshake returns the answer's body, the reason of a rejection, or "none".
func handshake(t *testing.T, v verifier, r webhook.Request) (webhook.Answer, string) {
	t.Helper()
	answer, is, err := v.Handshake(t.Context(), v.certificates, r, now())
	var rejected *webhook.RejectionError
	switch {
	case !is:
		return answer, "none"
	case errors.As(err, &rejected):
		return answer, string(rejected.Reason)
	case err != nil:
		t.Fatal(err)
	}
	if kind := answer.ContentType; kind != "" && kind != "text/plain; charset=utf-8" && kind != "application/json" {
		t.Errorf("content type %q", kind)
	}
	return answer, ""
}

func (s sender) sends(t *testing.T, body string) webhook.Request {
	t.Helper()
	r, err := webhook.Sample(s.scheme, webhook.SampleInput{
		Secret: s.private, Shared: s.shared, Body: []byte(body), URL: listener, Now: now(),
		CertificateURL: certURL, Topic: topic,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each of these must be genuine before it is answered, and is no delivery.
func TestSignedHandshakes(t *testing.T) {
	t.Parallel()
	const confirm = `{"Type":"SubscriptionConfirmation","Message":"m","Token":"t","Timestamp":"x","SubscribeURL":"THERE"}`
	const good = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=abc"
	for _, c := range []struct {
		name, preset, body, header, want string
		status                           int
	}{
		{"Slack", "slack", `{"type":"url_verification","challenge":"abc"}`, "", "abc", 200},
		{"Slack's HTML stays text", "slack", `{"type":"url_verification","challenge":"<b>"}`, "", "<b>", 200},
		{
			"Zoom", "zoom", `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`, "",
			`{"encryptedToken":"ENC","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}`, 200,
		},
		{"Discord", "discord", `{"type":1}`, "", `{"type":1}`, 200},
		{"Discord's events", "discord_events", `{"type":0}`, "", "", 204},
		{"Twitch", "twitch", `{"challenge":"abc"}`, "twitch-eventsub-message-type: webhook_callback_verification", "abc", 200},
		{
			"Event Grid", "eventgrid", `[{"data":{"validationCode":"c-1"}}]`, "aeg-event-type: SubscriptionValidation",
			`{"validationResponse":"c-1"}`, 200,
		},
		{"SNS", "sns", strings.Replace(confirm, "THERE", good, 1), "", "", 200},
		{"the end of one", "sns", strings.Replace(confirm, "Subscription", "Unsubscribe", 1), "", "", 200},
	} {
		s, other := newSender(t, c.preset, 0), newSender(t, c.preset, 1)
		add := func(r webhook.Request) webhook.Request {
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				r.Header[name] = []string{value}
			}
			return r
		}
		v := s.verifier(t)
		answer, reason := handshake(t, v, add(s.sends(t, c.body)))
		got := string(answer.Body)
		if at := strings.Index(got, `"encryptedToken":"`); at >= 0 {
			got = got[:at+18] + "ENC" + got[at+18+64:]
		}
		if reason != "" || got != c.want || answer.Status != c.status {
			t.Errorf("%s: %q %d %s", c.name, got, answer.Status, reason)
		}
		if confirms := c.name == "SNS"; confirms != (answer.Confirm == good) {
			t.Errorf("%s: confirms %q", c.name, answer.Confirm)
		}
		if _, reason := handshake(t, v, add(other.sends(t, c.body))); !strings.HasPrefix(reason, "bad_") {
			t.Errorf("%s by somebody else: %q", c.name, reason)
		}
		if _, reason := handshake(t, v, s.send(t, now())); reason != "none" {
			t.Errorf("%s: a delivery is a handshake: %q", c.name, reason)
		}
	}
	s := newSender(t, "sns", 0)
	for _, url := range []string{
		"",
		"https://evil.example/?Action=ConfirmSubscription",
		"http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
		"https://sns.eu-west-1.amazonaws.com/?Action=Publish",
		"https://sns.eu-west-1.amazonaws.com@evil/?Action=ConfirmSubscription",
	} {
		_, reason := handshake(t, s.verifier(t), s.sends(t, strings.Replace(confirm, "THERE", url, 1)))
		if reason != "bad_signature" {
			t.Errorf("%q: %q", url, reason)
		}
	}
}

func TestHandshakesWithoutASignature(t *testing.T) {
	t.Parallel()
	at := func(method, query string, header ...string) webhook.Request {
		r := webhook.Request{Method: method, URL: listener + query, Header: map[string][]string{}}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header[header[i]] = []string{header[i+1]}
		}
		return r
	}
	for _, c := range []struct {
		name, preset string
		request      webhook.Request
		want, reason string
	}{
		{"Meta", "meta", at("GET", "?hub.mode=subscribe&hub.challenge=1158&hub.verify_token=vt"), "1158", ""},
		{"wrong token", "meta", at("GET", "?hub.mode=subscribe&hub.challenge=11&hub.verify_token=x"), "", "bad_token"},
		{"no token", "meta", at("GET", "?hub.mode=subscribe&hub.challenge=1158"), "", "bad_token"},
		{"no mode", "meta", at("GET", "?hub.challenge=1158&hub.verify_token=vt"), "", "bad_token"},
		{"posted", "meta", at("POST", "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=vt"), "", "none"},
		{
			"too large", "meta",
			at("GET", "?hub.mode=subscribe&hub.verify_token=vt&hub.challenge="+strings.Repeat("a", 5000)),
			"", "bad_signature",
		},
		{"Graph", "microsoft_graph", at("POST", "?validationToken=Validation%3a+a%2Bb"), "Validation: a+b", ""},
		{"Graph's GET", "microsoft_graph", at("GET", "?validationToken=a"), "", "none"},
		{"Graph's for others", "slack", at("POST", "?validationToken=a"), "", "none"},
		{"X without a token", "x", at("GET", "?crc_token="), "", "bad_signature"},
		{"CloudEvents", "eventgrid", at("OPTIONS", "", "webhook-request-origin", "eventemitter.example.com"), "", ""},
		{"an origin that is none", "eventgrid", at("OPTIONS", "", "webhook-request-origin", "<a>"), "", "bad_token"},
		{"a preflight of a browser", "eventgrid", at("OPTIONS", ""), "", "none"},
	} {
		answer, reason := handshake(t, newSender(t, c.preset, 0).verifier(t), c.request)
		if string(answer.Body) != c.want || reason != c.reason {
			t.Errorf("%s: %q %q", c.name, answer.Body, reason)
		}
	}
	origin := at("OPTIONS", "", "webhook-request-origin", "eventemitter.example.com", "webhook-request-rate", "120")
	answer, _ := handshake(t, newSender(t, "eventgrid", 0).verifier(t), origin)
	allowed := answer.Header
	if allowed["WebHook-Allowed-Origin"] != "eventemitter.example.com" || allowed["WebHook-Allowed-Rate"] != "120" {
		t.Errorf("%+v", answer.Header)
	}
	// The MAC by Python, with the first sender's key.
	crc, _ := handshake(t, newSender(t, "x", 0).verifier(t), at("GET", "?crc_token=9b4507b3"))
	if string(crc.Body) != `{"response_token":"sha256=py0vMv572RJvt/E6lK28jV0nBs9KJ+Ifd/S7q1eRd7I="}` {
		t.Errorf("%s", crc.Body)
	}
}

// The answer to X's handshake, which anybody may ask for, signs no delivery.
func TestAHandshakeSignsNoDelivery(t *testing.T) {
	v := newSender(t, "x", 0).verifier(t)
	for _, body := range []string{`{"event":1}`, "[1]", `"text"`, "a b", "\xff", strings.Repeat("a", 257)} {
		answer, reason := handshake(t, v, webhook.Request{
			Method: "GET", URL: listener + "?crc_token=" + url.QueryEscape(body),
		})
		if reason != "bad_signature" {
			t.Errorf("%q is answered: %q %s", body, reason, answer.Body)
		}
	}
	for _, token := range []string{"9b4507b3", "17", "true"} {
		answer, reason := handshake(t, v, webhook.Request{Method: "GET", URL: listener + "?crc_token=" + token})
		if reason != "" {
			t.Fatalf("%q is not answered: %s", token, reason)
		}
		var told struct {
			Signature string `json:"response_token"`
		}
		if err := json.Unmarshal(answer.Body, &told); err != nil {
			t.Fatal(err)
		}
		forged := webhook.Request{Method: "POST", URL: listener, Header: map[string][]string{}, Body: []byte(token)}
		forged.Header["x-twitter-webhooks-signature"] = []string{told.Signature}
		rejects(t, v, forged, now(), webhook.BadSignature)
	}
}
