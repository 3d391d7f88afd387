package ingress_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// confirmer remembers what it was asked to confirm.
type confirmer struct {
	asked []string
	err   error
}

func (c *confirmer) Confirm(_ context.Context, url string) error {
	c.asked = append(c.asked, url)
	return c.err
}

func listenerOf(verify ingress.VerifyConfig) ingress.Listener {
	return ingress.NewListener(ingress.ListenerConfig{Name: "l", Source: "webhook", Playbook: "p", Verify: verify})
}

// sample is what a sender posts.
func sample(t *testing.T, preset, secret string, body string) ingress.DeliverRequest {
	t.Helper()
	scheme, _ := webhook.Preset(preset)
	r, err := webhook.Sample(scheme, webhook.SampleInput{
		Secret: secret, Body: []byte(body), URL: "https://gw.example.com/ingress/l", ID: "id-1", Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ingress.DeliverRequest{Listener: "l", Method: r.Method, URL: r.URL, Headers: r.Header, Body: r.Body}
}

func TestAPresetVerifiesAndNamesTheDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld()
	in := sample(t, "stripe", "whsec_x", `{"id":"evt_1","x":1}`)
	in.Found = listenerOf(ingress.VerifyConfig{Type: "stripe", Secrets: []ingress.SecretConfig{{Value: "whsec_x"}}})
	first, err := w.Service.Deliver(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Service.Deliver(t.Context(), in)
	if err != nil || again.ExecutionID != first.ExecutionID || len(w.noetl.Started()) != 1 {
		t.Errorf("the sender's id makes no duplicate: %+v %v, %d started", again, err, len(w.noetl.Started()))
	}
	message, ok := w.noetl.Started()[0].Workload["message"].(ingress.Envelope)
	if !ok || message.ID != "id-1" {
		t.Errorf("%+v", w.noetl.Started()[0].Workload["message"])
	}
	if _, has := message.Headers["stripe-signature"]; has {
		t.Error("the playbook sees the signature")
	}
	in.Body = append(in.Body, ' ')
	if _, err := w.Service.Deliver(t.Context(), in); err == nil || fault.Of(err).Code != "bad_signature" {
		t.Errorf("a changed body: %v", err)
	}
}

func TestHandshakesStartNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	in := sample(t, "slack", "s", `{"type":"url_verification","challenge":"abc"}`)
	in.Found = listenerOf(ingress.VerifyConfig{Type: "slack", Secrets: []ingress.SecretConfig{{Value: "s"}}})
	out, err := w.Service.Deliver(t.Context(), in)
	if err != nil || out.Answer == nil || string(out.Answer.Body) != "abc" {
		t.Fatalf("%+v %v", out, err)
	}
	in.Found = listenerOf(ingress.VerifyConfig{Type: "slack", Secrets: []ingress.SecretConfig{{Value: "other"}}})
	if _, err := w.Service.Deliver(t.Context(), in); err == nil || fault.Of(err).Code != "bad_signature" {
		t.Errorf("a challenge by somebody else: %v", err)
	}
	get := ingress.DeliverRequest{
		Listener: "l", Method: "GET", URL: "https://gw/ingress/l?hub.mode=subscribe&hub.challenge=1&hub.verify_token=v",
		Found: listenerOf(ingress.VerifyConfig{
			Type: "meta", VerifyToken: "v", Secrets: []ingress.SecretConfig{{Value: "s"}},
		}),
	}
	if out, err := w.Handshake(t.Context(), get); err != nil || !out.Is || string(out.Answer.Body) != "1" {
		t.Errorf("%+v %v", out, err)
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d started", n)
	}
}

func TestASubscriptionIsConfirmedBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := &confirmer{}
	w.Confirmer = c
	private, _, err := webhook.GenerateKey(webhook.Method{Algorithm: "rsa-sha256"})
	if err != nil {
		t.Fatal(err)
	}
	w.Certificates = webhook.NewCertificates(func(context.Context, string) ([]byte, error) {
		return certificate(t, private), nil
	})
	scheme, _ := webhook.Preset("sns")
	r, err := webhook.Sample(scheme, webhook.SampleInput{
		Secret: private, Topic: "arn:t", Now: time.Now(), URL: "https://gw.example.com/ingress/l",
		CertificateURL: "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
		Body: []byte(`{"Type":"SubscriptionConfirmation","Token":"t","Timestamp":"x","Message":"m",` +
			`"SubscribeURL":"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	in := ingress.DeliverRequest{Listener: "l", Method: "POST", Headers: r.Header, Body: r.Body}
	in.Found = listenerOf(ingress.VerifyConfig{Type: "sns", TopicARNs: []string{"arn:t"}})
	if out, err := w.Service.Deliver(t.Context(), in); err != nil || out.Answer == nil || len(c.asked) != 1 {
		t.Fatalf("%+v %v, asked %v", out, err, c.asked)
	}
	c.err = errors.New("down")
	if _, err := w.Service.Deliver(t.Context(), in); err == nil || fault.Of(err).Code != "dispatch_error" {
		t.Errorf("a sender is told to come back: %v", err)
	}
	in.Found = listenerOf(ingress.VerifyConfig{Type: "sns", TopicARNs: []string{"arn:other"}})
	if _, err := w.Service.Deliver(t.Context(), in); err == nil || len(c.asked) != 2 {
		t.Errorf("somebody else's topic: %v, asked %v", err, c.asked)
	}
}

func TestConditionsBesideTheSignature(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for name, c := range map[string]struct {
		config ingress.VerifyConfig
		names  []string
		want   ingress.Reason
	}{
		"no condition":        {ingress.VerifyConfig{}, nil, ""},
		"its network":         {ingress.VerifyConfig{AllowAddresses: []string{"10.0.0.0/8", "192.0.2.7"}}, nil, ""},
		"strange network":     {ingress.VerifyConfig{AllowAddresses: []string{"10.0.0.1"}}, nil, ingress.WrongAddress},
		"nonsense":            {ingress.VerifyConfig{AllowAddresses: []string{"x"}}, nil, ingress.Misconfigured},
		"its certificate":     {ingress.VerifyConfig{ClientCertificate: "cn"}, []string{"cn"}, ""},
		"another certificate": {ingress.VerifyConfig{ClientCertificate: "cn"}, []string{"x"}, ingress.WrongCertificate},
		"no certificate":      {ingress.VerifyConfig{ClientCertificate: "cn"}, nil, ingress.WrongCertificate},
	} {
		c.config.Type, c.config.Secrets = "bearer", []ingress.SecretConfig{{Value: "t"}}
		_, err := w.Service.Deliver(t.Context(), ingress.DeliverRequest{
			Listener: "l", Found: listenerOf(c.config), Headers: map[string][]string{"authorization": {"t"}},
			Address: netip.MustParseAddr("192.0.2.7"), CertificateNames: c.names,
		})
		var got ingress.Reason
		if err != nil {
			got = ingress.Reason(fault.Of(err).Code)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestTokensOfAnyIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld()
	good := ingress.VerifyConfig{Type: "oidc", Issuer: "https://issuer.example", Audience: "aud"}
	change := func(f func(*ingress.VerifyConfig)) ingress.VerifyConfig {
		c := good
		f(&c)
		return c
	}
	account := func(name string) ingress.VerifyConfig {
		return change(func(c *ingress.VerifyConfig) { c.ServiceAccount = name })
	}
	for name, c := range map[string]struct {
		config ingress.VerifyConfig
		token  string
		want   ingress.Reason
	}{
		"any account":  {good, "good:a@x", ""},
		"no email":     {good, "good:", ""},
		"its account":  {account("a@x"), "good:a@x", ""},
		"its subject":  {account("sub-a@x"), "good:a@x", ""},
		"another":      {account("b@x"), "good:a@x", ingress.OIDCAccount},
		"not verified": {account("a@x"), "unverified:a@x", ingress.OIDCUnverified},
		"audience":     {change(func(c *ingress.VerifyConfig) { c.Audience = "b" }), "good:a@x", ingress.OIDCAudience},
		"issuer":       {change(func(c *ingress.VerifyConfig) { c.Issuer = "b" }), "good:a@x", ingress.OIDCInvalid},
		"no issuer":    {change(func(c *ingress.VerifyConfig) { c.Issuer = "" }), "good:a@x", ingress.Misconfigured},
		"no token":     {good, "", ingress.MissingToken},
	} {
		_, err := w.Service.Deliver(t.Context(), ingress.DeliverRequest{
			Listener: "l", Found: listenerOf(c.config), Headers: map[string][]string{"authorization": {c.token}},
		})
		var got ingress.Reason
		if err != nil {
			got = ingress.Reason(fault.Of(err).Code)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
