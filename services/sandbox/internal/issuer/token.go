package issuer

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// PasswordRequest is the password grant.
type PasswordRequest struct {
	Email     string
	Password  string
	ClientID  string // empty means ClientID
	Nonce     string
	ExpiresIn string
	// seconds by which the issuer's clock goes ahead for this token, for tests; below zero it is behind
	ClockSkew string
}

// Tokens is the answer of the token endpoint.
type Tokens struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
}

// Password issues tokens for an address and its password, for scripts and tests.
func (i *Issuer) Password(in PasswordRequest) (Tokens, error) {
	if in.ClientID == "" {
		in.ClientID = ClientID
	}
	switch {
	case in.ClientID != ClientID:
		return Tokens{}, refuse(InvalidClient, "client_id must be "+ClientID)
	case in.Email == "" || in.Password == "":
		return Tokens{}, refuse(InvalidRequest, "username (or email) and password are required")
	case len(in.Nonce) > maxParameter:
		return Tokens{}, refuse(InvalidRequest, "nonce may have at most 2048 bytes")
	}
	account, ok := i.accounts.Authenticate(in.Email, in.Password)
	if !ok {
		return Tokens{}, refuse(InvalidGrant, "the address or the password is wrong")
	}
	return i.tokens(account, in.ClientID, in.Nonce, time.Now(), in.ExpiresIn, in.ClockSkew)
}

// idClaims are the claims of an id token, accessClaims those of an access token (RFC 9068).
type idClaims struct {
	jwt.RegisteredClaims
	Nonce         string `json:"nonce,omitempty"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name"`
	AuthTime      int64  `json:"auth_time"`
}

type accessClaims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Email    string `json:"email"`
}

const scope = "openid profile email"

// tokens signs both tokens. A lifetime below zero makes tokens that expired that long ago,
// for tests; their iat lies an hour before.
func (i *Issuer) tokens(
	a Account, client, nonce string, authTime time.Time, expiresIn, clockSkew string,
) (Tokens, error) {
	life, err := seconds("expires_in", expiresIn, TokenLife)
	if err != nil {
		return Tokens{}, err
	}
	skew, err := seconds("clock_skew", clockSkew, 0)
	if err != nil {
		return Tokens{}, err
	}
	now := time.Now().Add(skew)
	authTime = authTime.Add(skew)
	issued, expires := now, now.Add(life)
	if !expires.After(now) {
		issued = expires.Add(-TokenLife)
		authTime = issued
	}
	base := func(audience string) jwt.RegisteredClaims {
		return jwt.RegisteredClaims{
			Issuer:    i.url,
			Subject:   a.Subject,
			Audience:  jwt.ClaimStrings{audience},
			ExpiresAt: jwt.NewNumericDate(expires),
			IssuedAt:  jwt.NewNumericDate(issued),
			NotBefore: jwt.NewNumericDate(issued),
			ID:        newID(),
		}
	}
	id, err := i.sign("JWT", idClaims{base(client), nonce, a.Email, true, a.Name, authTime.Unix()})
	if err != nil {
		return Tokens{}, err
	}
	access, err := i.sign("at+jwt", accessClaims{base(AccessAudience), client, scope, a.Email})
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{
		AccessToken: access,
		IDToken:     id,
		TokenType:   "Bearer",
		ExpiresIn:   int64(life / time.Second),
		Scope:       scope,
	}, nil
}

// seconds reads a form field that holds a number of seconds, within a week.
func seconds(name, text string, unset time.Duration) (time.Duration, error) {
	if text == "" {
		return unset, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	d := time.Duration(n) * time.Second
	if err != nil || d.Abs() > maxTokenLife {
		return 0, refuse(InvalidRequest, name+" must be a number of seconds, within a week of now")
	}
	return d, nil
}

func (i *Issuer) sign(typ string, claims jwt.Claims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["typ"], t.Header["kid"] = typ, i.kid
	return t.SignedString(i.key)
}

// UserInfo are the claims of the userinfo endpoint.
type UserInfo struct {
	Subject       string `json:"sub"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name"`
}

// UserInfo returns who an access token is about.
func (i *Issuer) UserInfo(accessToken string) (UserInfo, error) {
	var claims accessClaims
	t, err := jwt.ParseWithClaims(
		accessToken,
		&claims,
		func(*jwt.Token) (any, error) { return &i.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}),
		jwt.WithIssuer(i.url),
		jwt.WithAudience(AccessAudience),
		jwt.WithExpirationRequired(),
	)
	if err != nil || t.Header["typ"] != "at+jwt" {
		return UserInfo{}, refuse(InvalidToken, "the access token is invalid or expired")
	}
	a, ok := i.accounts.ByEmail(claims.Email)
	if !ok || a.Subject != claims.Subject {
		return UserInfo{}, refuse(InvalidToken, "the access token is invalid or expired")
	}
	return UserInfo{Subject: a.Subject, Email: a.Email, EmailVerified: true, Name: a.Name}, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
