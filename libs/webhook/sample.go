package webhook

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SampleInput is what a sample is made of.
type SampleInput struct {
	// Secret is the shared secret, or for public keys and certificates the private key, see [GenerateKey].
	Secret string
	// Shared is the value of {secret} where Secret is a private key, such as PayPal's webhook id.
	Shared string
	Body   []byte // empty takes the scheme's example
	URL    string // that the sample is sent to
	ID     string // of the delivery; empty makes one up
	Now    time.Time
	// CertificateURL and Topic are for schemes that have them.
	CertificateURL, Topic string
}

// Sample builds and signs a request as the sender of the scheme would. Members that the scheme needs are added to the
// body.
func Sample(s Scheme, in SampleInput) (Request, error) {
	v := &Verifier{scheme: s}
	if err := v.compile(); err != nil {
		return Request{}, err
	}
	b := builder{Verifier: v, in: in, request: Request{
		Method: "POST", URL: in.URL, Body: in.Body, Header: map[string][]string{"content-type": {jsonType}},
	}}
	if len(b.request.Body) == 0 {
		b.request.Body = []byte(`{"hello":"world"}`)
		if s.Example != "" {
			b.request.Body = []byte(s.Example)
		}
		if s.ExampleType != "" {
			b.request.Header["content-type"] = []string{s.ExampleType}
		}
	}
	if err := b.build(); err != nil {
		return Request{}, err
	}
	return b.request, nil
}

type builder struct {
	*Verifier
	in        SampleInput
	request   Request
	timestamp string
}

func (b *builder) build() error {
	id := b.in.ID
	if id == "" {
		id = rand.Text()
	}
	if len(b.id) > 0 {
		for _, p := range b.id[0] {
			r := &reader{Request: &b.request}
			if have, _ := r.get(p); have != "" && b.in.ID == "" {
				continue
			}
			if err := b.set(p, id); err != nil {
				return err
			}
		}
	}
	switch b.scheme.Timestamp.Unit {
	case "ms":
		b.timestamp = strconv.FormatInt(b.in.Now.UnixMilli(), 10)
	case "rfc3339":
		b.timestamp = b.in.Now.UTC().Format(time.RFC3339Nano)
	default:
		b.timestamp = strconv.FormatInt(b.in.Now.Unix(), 10)
	}
	for _, c := range []struct {
		at    []place
		value string
	}{
		{b.timestamp1(), b.timestamp},
		{b.topic, b.in.Topic},
		{b.version, b.scheme.Methods[0].Version},
		{b.certificate, b.in.CertificateURL},
	} {
		if len(c.at) == 0 {
			continue
		}
		if err := b.set(c.at[0], c.value); err != nil {
			return err
		}
	}
	r := &reader{Request: &b.request}
	if len(b.bodyHash) > 0 && r.form() == nil && len(b.request.Body) > 0 {
		sum := sha256.Sum256(b.request.Body)
		if err := b.set(b.bodyHash[0], hex.EncodeToString(sum[:])); err != nil {
			return err
		}
	}
	return b.sign()
}

// timestamp1 is the place of the timestamp, unless it is in the signature's header.
func (b *builder) timestamp1() []place {
	if len(b.Verifier.timestamp) > 0 && b.Verifier.timestamp[0].kind == inParam {
		return nil
	}
	return b.Verifier.timestamp
}

// set writes a value at a place.
func (b *builder) set(p place, value string) error {
	switch p.kind {
	case inHeader:
		b.request.Header[p.name] = []string{value}
	case inQuery:
		separator := "?"
		if strings.Contains(b.request.URL, "?") {
			separator = "&"
		}
		b.request.URL += separator + p.name + "=" + url.QueryEscape(value)
	case inJSON:
		body, err := setJSON(b.request.Body, p.path, value)
		if err != nil {
			return err
		}
		b.request.Body = body
	default:
		return fmt.Errorf("a sample cannot set %s", p)
	}
	return nil
}

// setJSON sets a member of a JSON body. "*" stands for the first item.
func setJSON(body []byte, path []string, value string) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var root any
	if err := dec.Decode(&root); err != nil {
		return nil, errors.New("the body of a sample for this sender must be JSON")
	}
	root, err := setMember(root, path, value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(root)
}

func setMember(at any, path []string, value string) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	name := path[0]
	if name == "*" {
		name = "0"
	}
	if list, ok := at.([]any); ok {
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= len(list) {
			return nil, fmt.Errorf("the body of a sample for this sender has no item %s", name)
		}
		list[i], err = setMember(list[i], path[1:], value)
		return list, err
	}
	object, ok := at.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	var err error
	object[name], err = setMember(object[name], path[1:], value)
	return object, err
}

func (b *builder) sign() error {
	if b.token {
		return b.set(b.from[0], b.scheme.Signature.Prefix+b.in.Secret)
	}
	r := &reader{Request: &b.request, params: []param{{b.timeParam(), b.timestamp}}}
	filled, urls, rejected := b.fill(r)
	if rejected != nil {
		return rejected
	}
	filled.url, filled.secret = urls[0], b.in.Shared
	var message bytes.Buffer
	b.signed.write(&message, &filled)
	m := b.method()
	raw, err := m.sign(b.in.Secret, message.Bytes())
	if err != nil {
		return err
	}
	s := b.scheme.Signature
	text := hex.EncodeToString(raw)
	switch s.Encoding {
	case "base64":
		text = base64.StdEncoding.EncodeToString(raw)
	case "base64url":
		text = base64.RawURLEncoding.EncodeToString(raw)
	}
	switch s.List {
	case "space":
		text = m.Version + "," + text
	case "params":
		text = m.Version + "=" + text
		if b.timeParam() != "" {
			text = b.timeParam() + "=" + b.timestamp + b.scheme.Signature.Separator + text
		}
	default:
		text = s.Prefix + text
	}
	return b.set(b.from[0], text)
}

// method is the one that the secret is for.
func (b *builder) method() Method {
	prefix := b.prefixOf(b.in.Secret)
	if strings.Contains(b.in.Secret, "PRIVATE KEY") { // of a method with a public key, if there are others too
		for _, m := range b.scheme.Methods {
			if !strings.HasPrefix(m.Algorithm, "hmac-") {
				return m
			}
		}
	}
	i := slices.IndexFunc(b.scheme.Methods, func(m Method) bool { return m.KeyPrefix == prefix })
	return b.scheme.Methods[max(i, 0)]
}

// timeParam is the name of the timestamp in the signature's header.
func (b *builder) timeParam() string {
	if len(b.Verifier.timestamp) > 0 && b.Verifier.timestamp[0].kind == inParam {
		return b.Verifier.timestamp[0].name
	}
	return ""
}

// sign signs a message with a shared secret, or with a private key in PEM form.
func (m Method) sign(secret string, message []byte) ([]byte, error) {
	if strings.HasPrefix(m.Algorithm, "hmac-") {
		k, err := m.newKey(secret)
		if err != nil {
			return nil, fmt.Errorf("the secret %w", err)
		}
		mac, _ := k.(macKey)
		return mac.sum(writes(string(message))), nil
	}
	block, _ := pem.Decode([]byte(secret))
	if block == nil {
		return nil, errors.New("the secret must be a private key in PEM form")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the secret is no private key in PKCS #8")
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	if m.Algorithm == "ed25519" {
		return signer.Sign(rand.Reader, message, crypto.Hash(0))
	}
	h, id := newHash(m.Algorithm)
	digest := h()
	digest.Write(message)
	return signer.Sign(rand.Reader, digest.Sum(nil), id)
}

// GenerateKey makes a key pair for samples of a scheme with public keys: the private key in PEM form, and the public
// key as the scheme's secrets are written. For schemes with a certificate the public key is in PEM form too.
func GenerateKey(m Method) (private, public string, err error) {
	var signer crypto.Signer
	switch {
	case m.Algorithm == "ed25519":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case m.Algorithm == "ecdsa-p256-sha256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case strings.HasPrefix(m.Algorithm, "rsa-"):
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return "", "", fmt.Errorf("%s has no key pair", m.Algorithm)
	}
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return "", "", err
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return "", "", err
	}
	private = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	raw, isEd := signer.Public().(ed25519.PublicKey)
	switch {
	case isEd && m.Key == "hex":
		public = hex.EncodeToString(raw)
	case isEd && m.Key == "base64":
		public = base64.StdEncoding.EncodeToString(raw)
	default:
		public = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	}
	return private, m.KeyPrefix + public, nil
}
