package webhook_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/webhook"
)

func TestCertificatesComeFromTheSenderOnlyAndAreKept(t *testing.T) {
	t.Parallel()
	s := newSender(t, "sns", 0)
	asked := []string{}
	v := s.verifier(t)
	v.certificates = webhook.NewCertificates(func(_ context.Context, url string) ([]byte, error) {
		asked = append(asked, url)
		return s.certificate, nil
	})
	for range 3 {
		accepts(t, v, s.send(t, now()), now())
	}
	if len(asked) != 1 || asked[0] != certURL {
		t.Errorf("asked %v", asked)
	}
	good := s.send(t, now())
	for _, other := range []string{
		"http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-ab.pem",
		"https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-ab.pem",
		"https://sns.evil.example/SimpleNotificationService-ab.pem",
		"https://evil.sns.eu-west-1.amazonaws.com/SimpleNotificationService-ab.pem",
		"https://sns.eu.west.amazonaws.com/SimpleNotificationService-ab.pem",
		"https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-ab.pem",
		"https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-ab.pem",
		"https://evil@sns.eu-west-1.amazonaws.com/SimpleNotificationService-ab.pem",
		"https://sns.eu-west-1.amazonaws.com/other.pem",
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-" + strings.Repeat("a", 600),
		`https://sns.eu-west-1.amazonaws.com\\@evil.example/SimpleNotificationService-ab.pem`,
		"file:///SimpleNotificationService-ab.pem",
	} {
		r := clone(good)
		r.Body = []byte(strings.Replace(string(good.Body), certURL, other, 1))
		rejects(t, v, r, now(), webhook.BadSignature)
	}
	if len(asked) != 1 {
		t.Errorf("asked %v", asked)
	}
}

func TestACertificateThatCannotBeHadIsAnOutage(t *testing.T) {
	t.Parallel()
	s := newSender(t, "paypal", 0)
	v, down, asked := s.verifier(t), errors.New("down"), 0
	v.certificates = webhook.NewCertificates(func(context.Context, string) ([]byte, error) {
		asked++
		return s.certificate, down
	})
	good := s.send(t, now())
	for range 5 {
		rejects(t, v, good, now(), webhook.KeysUnavailable)
	}
	if asked != 1 {
		t.Errorf("asked %d times in a moment", asked)
	}
	down = nil
	accepts(t, v, good, now().Add(2*time.Minute))
	v.certificates = nil
	rejects(t, v, good, now(), webhook.Misconfigured)
	v.certificates = webhook.NewCertificates(func(context.Context, string) ([]byte, error) {
		return certificateOf(t, s.private, now().Add(-time.Minute)), nil
	})
	rejects(t, v, good, now(), webhook.BadSignature) // expired
}
