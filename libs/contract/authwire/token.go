package authwire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Token is a session token: a secret. Whatever prints it shows the start of its hash, which is enough to follow one
// session through the logs. The wire types of this package hold the text; everything else holds a Token. The zero
// value is no token. Tokens are comparable.
type Token struct {
	text string
	key  TokenKey
}

// NewToken makes a token of its text, empty for none. It hashes the text once, and does not allocate for texts of up
// to 256 bytes.
func NewToken(text string) Token {
	if text == "" {
		return Token{}
	}
	var buf [256]byte
	return Token{text, sha256.Sum256(append(buf[:0], text...))}
}

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t.text == "" }

// Reveal returns the text, for those who must send it on.
func (t Token) Reveal() string { return t.text }

// Clone returns the token with a copy of its text: for those who keep it longer than the request that it is a part of.
func (t Token) Clone() Token { return Token{strings.Clone(t.text), t.key} }

// Key returns what stands for the token where the token itself must not be.
func (t Token) Key() TokenKey { return t.key }

// String never returns the text.
func (t Token) String() string {
	if t.IsZero() {
		return "session:none"
	}
	return "session:" + hex.EncodeToString(t.key[:6])
}

// Format prints [Token.String] for every verb, so that %#v and %x do not show the text either.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue is [Token.String].
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON is [Token.String], for what is logged as JSON.
func (t Token) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, t.String()), nil }

// TokenKey stands for a session token wherever the token itself must not be: logs, metrics,
// buckets and caches of ours. It is the SHA-256 of the token; tokens are unguessable, so a
// plain hash does not reveal them.
type TokenKey [sha256.Size]byte

// String returns the key in hexadecimal, a legal KV key.
func (k TokenKey) String() string { return hex.EncodeToString(k[:]) }

// ParseTokenKey is the inverse of [TokenKey.String].
func ParseTokenKey(s string) (TokenKey, bool) {
	var k TokenKey
	if hex.DecodedLen(len(s)) != len(k) {
		return k, false
	}
	_, err := hex.Decode(k[:], []byte(s))
	return k, err == nil
}
