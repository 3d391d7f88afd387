package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	keyBits  = 2048
	codeLife = 60 * time.Second
	maxCodes = 1000 // codes that wait to be redeemed; beyond it the oldest goes
	// TokenLife is how long a token is valid unless the caller asks otherwise.
	TokenLife = time.Hour
	// maxTokenLife bounds what a caller may ask for, into the past too.
	maxTokenLife = 7 * 24 * time.Hour
	// ClientID is the one client.
	ClientID = "noetl-console"
	// AccessAudience is the audience of access tokens; id tokens have the client's.
	AccessAudience = "urn:noetl:sandbox:api"
)

// Issuer issues and verifies tokens.
type Issuer struct {
	url       string
	redirects []string
	accounts  Accounts
	key       *rsa.PrivateKey
	kid       string

	mu    sync.Mutex
	codes map[string]grant
	order []string
}

// New makes an issuer with a fresh key. url is what the iss claim says; redirects are the
// redirect URIs beside loopback.
func New(issuerURL string, redirects []string, accounts Accounts) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(key.N.Bytes())
	return &Issuer{
		url: issuerURL, redirects: redirects, accounts: accounts, key: key,
		kid: base64.RawURLEncoding.EncodeToString(sum[:12]), codes: map[string]grant{},
	}, nil
}

// URL returns the issuer's identifier.
func (i *Issuer) URL() string { return i.url }

// Accounts lists who can log in.
func (i *Issuer) Accounts() []Account { return i.accounts.All() }

// JWK is the public key in the form of RFC 7517.
type JWK struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	N         string `json:"n"`
	E         string `json:"e"`
}

// JWKS is a key set.
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// Keys returns the key set with the one public key.
func (i *Issuer) Keys() JWKS {
	var e [4]byte
	binary.BigEndian.PutUint32(e[:], uint32(i.key.E)) //nolint:gosec // the exponent is 65537
	return JWKS{Keys: []JWK{{
		KeyType: "RSA", Use: "sig", Algorithm: "RS256", KeyID: i.kid,
		N: base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()), E: base64.RawURLEncoding.EncodeToString(e[1:]),
	}}}
}

// redirectAllowed accepts http on loopback (RFC 8252, section 7.3) and the listed URIs.
func (i *Issuer) redirectAllowed(uri string) bool {
	if slices.Contains(i.redirects, uri) {
		return true
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}
