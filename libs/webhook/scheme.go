package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Scheme declares how a sender authenticates its deliveries.
//
// Places say where a value is: "header:NAME", "param:KEY" (a member of the signature's header), "query:NAME",
// "form:NAME" or "json:PATH", where a path has dots, and numbers for the items of a list. Of several places the first
// that holds something counts.
type Scheme struct {
	Name string `json:"name,omitempty"`
	// Page is where the sender publishes the scheme.
	Page      string    `json:"page,omitempty"`
	Signature Signature `json:"signature"`
	// Methods are the algorithms, the one for new secrets first.
	Methods []Method `json:"methods"`
	// Signed is the template of the signed string. Its fields are {body}, {method}, {url}, {form} (sorted keys, each
	// followed by its value), {id}, {timestamp}, {secret}, {crc32} (of the body, decimal), {sns} (the canonical form
	// of Amazon SNS) and any place, such as {header:x-nonce}.
	Signed string `json:"signed,omitempty"`
	// ID are the places of the sender's id of a delivery. "A+B" joins two places.
	ID        []string  `json:"id,omitempty"`
	Timestamp Timestamp `json:"timestamp,omitzero"`
	// URLForms are other forms of the URL that the sender may have signed: "port" adds or removes the standard
	// port, "decoded" decodes what HubSpot decodes.
	URLForms []string `json:"url_forms,omitempty"`
	// BodyHash is the place of the SHA-256 of the body, in hexadecimal, for schemes that do not sign a body that is
	// no form.
	BodyHash string `json:"body_hash,omitempty"`
	// Absent are places that must hold nothing: what is there would not be signed.
	Absent []string `json:"absent,omitempty"`
	// Certificate says where the certificate of the signer is, for keys of encoding "certificate".
	Certificate *Certificate `json:"certificate,omitempty"`
	// Topics makes a list of allowed topics mandatory; Topic is the place of a delivery's.
	Topic string `json:"topic,omitempty"`
	// Handshakes are the names of the handshakes that the sender uses, see [Verifier.Handshake].
	Handshakes []string `json:"handshakes,omitempty"`

	// Patience is how long the sender may be kept waiting; it gives up a little later.
	Patience time.Duration `json:"-"`
	// Accepted is what the sender insists on as the answer to an accepted delivery. The zero value leaves it open.
	Accepted Answer `json:"-"`
	// Example is a body for samples. Empty stands for any JSON object.
	Example string `json:"-"`
	// ExampleType is the media type of Example, if it is no JSON.
	ExampleType string `json:"-"`
}

// Signature says where signatures, or tokens, are and how they are written.
type Signature struct {
	// From are places; all that hold something are tried.
	From []string `json:"from"`
	// Prefix comes before a signature. It is required unless PrefixOptional is set.
	Prefix         string `json:"prefix,omitempty"`
	PrefixOptional bool   `json:"prefix_optional,omitempty"`
	// List is "space" for "v1,SIG v1,SIG", "params" for "t=1,v1=SIG", and empty for one signature.
	List string `json:"list,omitempty"`
	// Separator is between params: a comma, or a semicolon.
	Separator string `json:"separator,omitempty"`
	// Encoding is hex, base64 or base64url.
	Encoding string `json:"encoding,omitempty"`
	// VersionFrom is the place of the version, for signatures that do not carry it.
	VersionFrom string `json:"version_from,omitempty"`
}

// Method is an algorithm with its key.
type Method struct {
	// Version is how the signature's list, or VersionFrom, names the method.
	Version string `json:"version,omitempty"`
	// Algorithm is hmac-sha1, hmac-sha256, hmac-sha384, hmac-sha512, ed25519, ecdsa-p256-sha256, rsa-sha1,
	// rsa-sha256 or token.
	Algorithm string `json:"algorithm"`
	// Key is how the key is written: raw, hex, base64, pem (a public key; base64 of its DER form is accepted), or
	// certificate (see [Scheme.Certificate]). Empty is raw.
	Key string `json:"key,omitempty"`
	// KeyPrefix comes before the key. A secret with the prefix of one method is not used for the others.
	KeyPrefix string `json:"key_prefix,omitempty"`
}

// Timestamp says when a delivery was signed.
type Timestamp struct {
	From []string `json:"from,omitempty"`
	// Unit is s, ms or rfc3339.
	Unit string `json:"unit,omitempty"`
	// ToleranceSecs is how far the sender's clock may be from ours, in either direction. 0 accepts any time.
	ToleranceSecs int `json:"tolerance_secs,omitempty"`
}

func (t Timestamp) tolerance() time.Duration { return time.Duration(t.ToleranceSecs) * time.Second }

// Certificate says where the certificate of a signer may be fetched.
type Certificate struct {
	From []string `json:"from"`
	// Hosts are the only hosts that certificates come from. One label may be "*".
	Hosts []string `json:"hosts"`
	// Path is the prefix of the URL's path.
	Path string `json:"path,omitempty"`
}

// maxScheme bounds a declaration, in bytes.
const maxScheme = 64 << 10

// ParseScheme reads the JSON form of a declaration. Unknown members are errors.
func ParseScheme(declaration []byte) (Scheme, error) {
	var s Scheme
	if len(declaration) > maxScheme {
		return s, fmt.Errorf("the scheme is larger than %d bytes", maxScheme)
	}
	dec := json.NewDecoder(bytes.NewReader(declaration))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return s, fmt.Errorf("the scheme cannot be read: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return s, errors.New("the scheme is followed by something else")
	}
	return s, nil
}

// SecretHeaders returns the headers that hold signatures or tokens, in lower case: they are no business of whoever
// reads a delivery.
func (s Scheme) SecretHeaders() []string {
	var names []string
	for _, from := range s.Signature.From {
		if p, err := parsePlace(from); err == nil && p.kind == inHeader {
			names = append(names, p.name)
		}
	}
	return names
}
