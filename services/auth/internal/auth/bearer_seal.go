package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// bearerKey is what the record of an access token is found by and sealed with.
type bearerKey struct {
	name   string // in the store
	flight string // of concurrent exchanges in this process
	aead   cipher.AEAD
}

// bearerKeyOf derives both from a token that is verified. The name is the hash of what is signed and leaves the
// signature out: a valid ES256 signature (r, s) has a second valid form (r, -s), so the holder of a token could make
// another text of it that verifies, and with it another session after the first was ended. The key comes from the
// whole token, which is not stored and which only its holder has: who reads the store learns no session.
func bearerKeyOf(token string) (bearerKey, error) {
	signed := token
	if dot := strings.LastIndexByte(token, '.'); dot >= 0 {
		signed = token[:dot]
	}
	name, whole := sha256.Sum256([]byte(signed)), sha256.Sum256([]byte(token))
	key, err := hkdf.Key(sha256.New, []byte(token), nil, "noetl gateway bearer seal", sha256.Size)
	if err != nil {
		return bearerKey{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return bearerKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block) // it draws the nonce and puts it in front
	return bearerKey{hex.EncodeToString(name[:]), string(whole[:]), aead}, err
}

func (k bearerKey) seal(session Token) []byte {
	return k.aead.Seal(nil, nil, []byte(session.Reveal()), []byte(k.name)) //nolint:gosec // it takes no nonce
}

func (k bearerKey) open(sealed []byte) (Token, bool) {
	plain, err := k.aead.Open(nil, nil, sealed, []byte(k.name))
	return authwire.NewToken(string(plain)), err == nil
}

// identityToken is what a backend is given in the place of an access token. The Model Context Protocol forbids to pass
// a client's token on, and NoETL would keep it: its login writes auth0_token into the table of sessions. But both its
// login playbook and its login route read the claims iss, sub, email, name and exp of a JWT, and check no signature
// (server 3.83.1, POST /api/auth/login). So this is a JWT of ours with those claims and alg none (RFC 7519, section 6):
// whoever finds it can use it nowhere that looks at signatures. That is also its limit: a NoETL that verifies them
// (NOETL_AUTH_VERIFY_SIGNATURE=enforce) refuses it, and there access tokens need the backend local. What is left
// out, such as scope and aud, is nothing for NoETL to decide by.
func identityToken(c AccessClaims) string {
	head, _ := json.Marshal(map[string]string{"alg": "none", "typ": "JWT"}) // neither can fail
	claims := map[string]any{
		"iss": c.Identity.Issuer, "sub": c.Identity.Subject, "email": c.Identity.Email,
		"email_verified": c.Identity.EmailVerified, "exp": c.ExpiresAt.Unix(),
	}
	if c.Identity.Name != "" {
		claims["name"] = c.Identity.Name
	}
	body, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
}
