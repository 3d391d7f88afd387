package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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
	// ClientID is the client that needs no registration.
	ClientID = "noetl-console"
	// AccessAudience is the audience of access tokens that name no resource; id tokens have the client's.
	AccessAudience = "urn:noetl:sandbox:api"
)

// The grants of the token endpoint.
const (
	GrantCode     = "authorization_code"
	GrantRefresh  = "refresh_token"
	GrantPassword = "password"
)

// Issuer issues and verifies tokens.
type Issuer struct {
	url       string
	redirects []string
	accounts  Accounts
	documents Documents
	key       *rsa.PrivateKey
	kid       string

	mu           sync.Mutex
	codes        map[string]grant
	order        []string
	clients      map[string]Client
	registered   []string // their ids, the oldest first
	refreshes    map[string]refresh
	refreshOrder []string
}

// Config is what an issuer is made of.
type Config struct {
	URL       string    // what the iss claim says
	Redirects []string  // redirect URIs beside loopback
	Documents Documents // nil for an issuer that reads none
}

// New makes an issuer with a fresh key.
func New(cfg Config, accounts Accounts) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(key.N.Bytes())
	return &Issuer{
		url: cfg.URL, redirects: cfg.Redirects, documents: cfg.Documents, accounts: accounts, key: key,
		kid: base64.RawURLEncoding.EncodeToString(sum[:12]), codes: map[string]grant{},
		clients: map[string]Client{}, refreshes: map[string]refresh{},
	}, nil
}

// URL returns the issuer's identifier.
func (i *Issuer) URL() string { return i.url }

// ReadsDocuments reports whether a client's id may be the address of its metadata.
func (i *Issuer) ReadsDocuments() bool { return i.documents != nil }

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
	return err == nil && len(uri) <= maxURI && loopbackURL(u)
}
