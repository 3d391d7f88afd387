package webhook

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Secret is what a listener shares with its sender: a key, a token, or the sender's public key.
type Secret struct {
	Value   string
	Expires time.Time // zero for never
}

// String hides the value.
func (Secret) String() string { return "***" }

// GoString hides the value.
func (Secret) GoString() string { return "***" }

// LogValue hides the value.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// Options are what a listener adds to a scheme.
type Options struct {
	// Secrets are tried in their order. Expired ones are not.
	Secrets []Secret
	// Header replaces the header of the signature.
	Header string
	// PublicURL is the address that the sender posts to, for schemes that sign it. Empty takes the request's. A
	// request's query is added to a URL that has none.
	PublicURL string
	// Topics are the topics that may deliver, for schemes with topics.
	Topics []string
	// VerifyToken is what a GET handshake must know.
	VerifyToken string
}

// Verifier decides whether deliveries are genuine. It is immutable, and safe for concurrent use.
type Verifier struct {
	scheme      Scheme
	options     Options
	token       bool
	signed      template
	from        []place
	id          [][]place // alternatives, each of which may have several parts
	timestamp   []place
	version     []place
	absent      []place
	bodyHash    []place
	topic       []place
	certificate []place
	secrets     []liveSecret
}

// liveSecret is a secret as a key of one method.
type liveSecret struct {
	method  int
	number  int // from 1
	expires time.Time
	key     key
	value   string // for templates with {secret}
}

func (s liveSecret) live(now time.Time) bool { return s.expires.IsZero() || now.Before(s.expires) }

// Compile makes a verifier. The error is a [RejectionError] with the reason misconfigured: nothing can be verified.
func Compile(s Scheme, o Options) (*Verifier, error) {
	v := &Verifier{scheme: s, options: o}
	v.options.Secrets = nil // they are in the keys
	if o.Header != "" {
		v.scheme.Signature.From = []string{"header:" + o.Header}
	}
	if err := v.compile(); err != nil {
		return nil, misconfigured("the verification scheme is wrong: " + err.Error())
	}
	if err := v.addSecrets(o.Secrets); err != nil {
		return nil, err
	}
	if len(v.topic) > 0 && len(o.Topics) == 0 {
		return nil, misconfigured("this listener has no topic that may deliver: anybody could publish to one of theirs")
	}
	return v, nil
}

func (v *Verifier) compile() error {
	s := v.scheme
	if len(s.Methods) == 0 || len(s.Signature.From) == 0 {
		return fmt.Errorf("it has no method or no place for the signature")
	}
	for _, m := range s.Methods {
		if err := m.checkMethod(); err != nil {
			return err
		}
		if m.Key == "certificate" && s.Certificate == nil {
			return fmt.Errorf("it does not say where the certificate is")
		}
	}
	v.token = s.Methods[0].Algorithm == "token"
	if !slices.Contains([]string{"", "space", "params"}, s.Signature.List) {
		return fmt.Errorf("%q is no syntax of a list", s.Signature.List)
	}
	if s.Signature.List == "params" && s.Signature.Separator == "" {
		v.scheme.Signature.Separator = ","
	}
	if !slices.Contains([]string{"hex", "base64", "base64url"}, s.Signature.Encoding) && !v.token {
		return fmt.Errorf("%q is no encoding of a signature", s.Signature.Encoding)
	}
	if !slices.Contains([]string{"", "s", "ms", "rfc3339"}, s.Timestamp.Unit) || s.Timestamp.ToleranceSecs < 0 {
		return fmt.Errorf("the timestamp has a unit or a tolerance that is unknown")
	}
	if !v.token {
		var err error
		if v.signed, err = parseTemplate(s.Signed); err != nil {
			return err
		}
	}
	return v.compilePlaces()
}

func (v *Verifier) compilePlaces() error {
	s := v.scheme
	one := func(text string) []string {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	for _, c := range []struct {
		into *[]place
		from []string
	}{
		{&v.from, s.Signature.From},
		{&v.timestamp, s.Timestamp.From},
		{&v.version, one(s.Signature.VersionFrom)},
		{&v.absent, s.Absent},
		{&v.bodyHash, one(s.BodyHash)},
		{&v.topic, one(s.Topic)},
	} {
		var err error
		if *c.into, err = parsePlaces(c.from); err != nil {
			return err
		}
	}
	for _, text := range s.ID {
		parts, err := parsePlaces(strings.Split(text, "+"))
		if err != nil {
			return err
		}
		v.id = append(v.id, parts)
	}
	if s.Certificate != nil {
		var err error
		if v.certificate, err = parsePlaces(s.Certificate.From); err != nil {
			return err
		}
	}
	return nil
}

func (v *Verifier) addSecrets(secrets []Secret) error {
	if len(secrets) > MaxSecrets {
		return misconfigured(fmt.Sprintf("this listener has more than %d secrets", MaxSecrets))
	}
	for i, secret := range secrets {
		if secret.Value == "" {
			continue
		}
		prefix := v.prefixOf(secret.Value)
		for method, m := range v.scheme.Methods {
			if m.KeyPrefix != prefix {
				continue
			}
			live := liveSecret{method: method, number: i + 1, expires: secret.Expires}
			if err := live.read(m, secret.Value); err != nil {
				return misconfigured(fmt.Sprintf("secret %d of this listener %v", i+1, err))
			}
			v.secrets = append(v.secrets, live)
		}
	}
	if len(v.secrets) == 0 && v.needsSecret() {
		if v.token {
			return misconfigured("this listener has no token to verify with")
		}
		return misconfigured("this listener has no secret to verify with")
	}
	return nil
}

// needsSecret is false for schemes whose certificate says all.
func (v *Verifier) needsSecret() bool {
	return v.scheme.Certificate == nil || v.signed.uses(fieldSecret)
}

// prefixOf returns the prefix of the methods that a secret is for: its own, else that of the first.
func (v *Verifier) prefixOf(secret string) string {
	for _, m := range v.scheme.Methods {
		if m.KeyPrefix != "" && strings.HasPrefix(secret, m.KeyPrefix) {
			return m.KeyPrefix
		}
	}
	return v.scheme.Methods[0].KeyPrefix
}

func (s *liveSecret) read(m Method, secret string) (err error) {
	switch {
	case m.Algorithm == "token":
		s.key = tokenKey{sha256.Sum256([]byte(secret))}
	case m.Key == "certificate":
		s.value = secret
	default:
		s.key, err = m.newKey(secret)
	}
	return err
}

// Scheme returns what was compiled.
func (v *Verifier) Scheme() Scheme { return v.scheme }
