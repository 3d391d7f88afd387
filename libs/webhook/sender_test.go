package webhook_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/webhook"
)

const (
	certURL  = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-ab.pem"
	topic    = "arn:aws:sns:eu-west-1:1:t"
	listener = "https://gw.example.com/ingress/l"
)

// now is the time of all tests that sign: fixed, so that nothing depends on when they run.
func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// sender is a preset with keys of its own.
type sender struct {
	scheme webhook.Scheme
	// private signs, and shared is what the listener is given.
	private, shared string
	certificate     []byte
}

// newSender makes keys. Those of another number are other keys.
func newSender(tb testing.TB, name string, number int) sender {
	tb.Helper()
	scheme, ok := webhook.Preset(name)
	if !ok {
		tb.Fatalf("no preset %s", name)
	}
	text := strings.Repeat(string(rune('a'+number)), 32)
	s := sender{scheme: scheme, private: text, shared: text}
	m := scheme.Methods[0]
	var err error
	switch {
	case m.Key == "certificate":
		if s.private, _, err = webhook.GenerateKey(m); err == nil {
			s.certificate = certificateOf(tb, s.private, now().Add(time.Hour))
		}
	case m.Algorithm == "ed25519" || strings.HasPrefix(m.Algorithm, "ecdsa"):
		s.private, s.shared, err = webhook.GenerateKey(m)
	case m.Key != "": // hexadecimal, or base64
		s.private = m.KeyPrefix + text
		s.shared = s.private
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func certificateOf(tb testing.TB, private string, until time.Time) []byte {
	tb.Helper()
	block, _ := pem.Decode([]byte(private))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		tb.Fatal("no signer")
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"},
		NotBefore: now().Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, signer.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (s sender) options() webhook.Options {
	return webhook.Options{
		Secrets: []webhook.Secret{{Value: s.shared}}, PublicURL: listener, Topics: []string{topic}, VerifyToken: "vt",
	}
}

// verifier is a compiled scheme with what it needs.
type verifier struct {
	*webhook.Verifier
	certificates *webhook.Certificates
}

func (s sender) verifier(tb testing.TB, change ...func(*webhook.Options)) verifier {
	tb.Helper()
	o := s.options()
	for _, f := range change {
		f(&o)
	}
	v, err := webhook.Compile(s.scheme, o)
	if err != nil {
		tb.Fatal(err)
	}
	return verifier{v, webhook.NewCertificates(func(context.Context, string) ([]byte, error) {
		if s.certificate == nil {
			return nil, errors.New("none")
		}
		return s.certificate, nil
	})}
}

func secrets(all ...webhook.Secret) func(*webhook.Options) {
	return func(o *webhook.Options) { o.Secrets = all }
}

// send signs a delivery.
func (s sender) send(tb testing.TB, at time.Time) webhook.Request {
	tb.Helper()
	address := certURL
	if s.scheme.Name == "paypal" {
		address = "https://api.paypal.com/v1/notifications/certs/CERT-1"
	}
	in := webhook.SampleInput{
		Secret: s.private, Shared: s.shared, URL: listener, ID: "id-1", Now: at, CertificateURL: address, Topic: topic,
	}
	r, err := webhook.Sample(s.scheme, in)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// clone copies what tests change.
func clone(r webhook.Request) webhook.Request {
	r.Header = maps.Clone(r.Header)
	return r
}

// signatureHeader is the header of the signature, or "".
func (s sender) signatureHeader() string {
	if names := s.scheme.SecretHeaders(); len(names) > 0 {
		return names[0]
	}
	return ""
}

func (s sender) isToken() bool { return s.scheme.Methods[0].Algorithm == "token" }

func verify(
	tb testing.TB, v verifier, r webhook.Request, at time.Time,
) (webhook.Result, *webhook.RejectionError) {
	tb.Helper()
	result, err := v.Verify(tb.Context(), v.certificates, r, at)
	if err == nil {
		return result, nil
	}
	var rejected *webhook.RejectionError
	if !errors.As(err, &rejected) {
		tb.Fatalf("the error is no RejectionError: %v", err)
	}
	return result, rejected
}

// rejects fails unless a delivery is rejected for the reason.
func rejects(
	tb testing.TB, v verifier, r webhook.Request, at time.Time, reason webhook.Reason,
) webhook.Explanation {
	tb.Helper()
	_, rejected := verify(tb, v, r, at)
	switch {
	case rejected == nil:
		tb.Errorf("accepted, want %s", reason)
		return webhook.Explanation{}
	case rejected.Reason != reason:
		tb.Errorf("%v, want %v", rejected, reason)
	}
	return rejected.Explanation
}

func accepts(tb testing.TB, v verifier, r webhook.Request, at time.Time) webhook.Result {
	tb.Helper()
	result, rejected := verify(tb, v, r, at)
	if rejected != nil {
		tb.Errorf("%v", rejected)
	}
	return result
}
