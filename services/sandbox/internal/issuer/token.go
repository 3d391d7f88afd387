package issuer

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
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
	Scope     string
	Resources []string
}

// Tokens is the answer of the token endpoint.
type Tokens struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token,omitempty"` // with the scope openid
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
	// RefreshToken is for clients that asked for one.
	RefreshToken string `json:"refresh_token,omitempty"`
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
	if err := checkResources(in.Resources); err != nil {
		return Tokens{}, err
	}
	account, ok := i.accounts.Authenticate(in.Email, in.Password)
	if !ok {
		return Tokens{}, refuse(InvalidGrant, "the address or the password is wrong")
	}
	return i.tokens(order{
		account: account, client: in.ClientID, nonce: in.Nonce, authTime: time.Now(), scopes: knownScopes(in.Scope),
		resources: in.Resources, expiresIn: in.ExpiresIn, clockSkew: in.ClockSkew,
	})
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
	// As a real issuer does once its administrator maps them: the gateway knows people by their addresses.
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name"`
}

// order says what to issue.
type order struct {
	account   Account
	client    string
	nonce     string
	authTime  time.Time
	scopes    []string
	resources []string
	expiresIn string
	clockSkew string
}

// tokens signs both tokens. A lifetime below zero makes tokens that expired that long ago,
// for tests; their iat lies an hour before.
func (i *Issuer) tokens(o order) (Tokens, error) {
	life, err := seconds("expires_in", o.expiresIn, TokenLife)
	if err != nil {
		return Tokens{}, err
	}
	skew, err := seconds("clock_skew", o.clockSkew, 0)
	if err != nil {
		return Tokens{}, err
	}
	now := time.Now().Add(skew)
	authTime := o.authTime.Add(skew)
	issued, expires := now, now.Add(life)
	if !expires.After(now) {
		issued = expires.Add(-TokenLife)
		authTime = issued
	}
	base := func(audience ...string) jwt.RegisteredClaims {
		return jwt.RegisteredClaims{
			Issuer:    i.url,
			Subject:   o.account.Subject,
			Audience:  audience,
			ExpiresAt: jwt.NewNumericDate(expires),
			IssuedAt:  jwt.NewNumericDate(issued),
			NotBefore: jwt.NewNumericDate(issued),
			ID:        newID(),
		}
	}
	a, scope := o.account, strings.Join(o.scopes, " ")
	audience := o.resources
	if len(audience) == 0 {
		audience = []string{AccessAudience}
	}
	out := Tokens{TokenType: "Bearer", ExpiresIn: int64(life / time.Second), Scope: scope}
	out.AccessToken, err = i.sign(
		"at+jwt", accessClaims{base(audience...), o.client, scope, a.Email, true, a.Name},
	)
	if err == nil && slices.Contains(o.scopes, scopeOpenID) {
		out.IDToken, err = i.sign(
			"JWT", idClaims{base(o.client), o.nonce, a.Email, true, a.Name, authTime.Unix()},
		)
	}
	if err != nil {
		return Tokens{}, err
	}
	return out, nil
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
