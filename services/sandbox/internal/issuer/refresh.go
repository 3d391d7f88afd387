package issuer

import (
	"crypto/rand"
	"encoding/base64"
	"time"
)

const (
	// refreshLife is how long the tokens of one sign-in can be refreshed.
	refreshLife = 24 * time.Hour
	// maxRefresh bounds the refresh tokens, used ones included; beyond it the oldest goes.
	maxRefresh = 2000
)

// refresh is what a refresh token stands for. It counts once; a used one is kept to tell that it was copied.
type refresh struct {
	family   string // of all that came from one sign-in
	client   string
	account  Account
	scopes   []string
	granted  []string // resources
	authTime time.Time
	used     bool
}

// RefreshRequest is the refresh_token grant.
type RefreshRequest struct {
	Token     string
	ClientID  string
	Resources []string
	Scope     string
	ExpiresIn string
}

// Refresh exchanges a refresh token for new tokens, and a new refresh token. When one is used twice, somebody copied
// it: then all that came from the same sign-in are void (RFC 9700, section 4.14.2).
func (i *Issuer) Refresh(in RefreshRequest) (Tokens, error) {
	i.mu.Lock()
	r, ok := i.refreshes[in.Token]
	switch {
	case !ok || r.client != in.ClientID || time.Since(r.authTime) > refreshLife:
		i.mu.Unlock()
		return Tokens{}, refuse(InvalidGrant, "the refresh token is unknown, expired, or another client's")
	case r.used:
		i.dropFamily(r.family)
		i.mu.Unlock()
		return Tokens{}, refuse(InvalidGrant, "the refresh token was used before: sign in again")
	}
	resources, err := narrowedResources(r.granted, in.Resources)
	if err == nil {
		used := r
		used.used = true
		i.refreshes[in.Token] = used
	}
	i.mu.Unlock()
	if err != nil {
		return Tokens{}, err
	}
	account, ok := i.accounts.ByEmail(r.account.Email)
	if !ok || account.Subject != r.account.Subject {
		return Tokens{}, refuse(InvalidGrant, "the account is gone")
	}
	tokens, err := i.tokens(order{
		account: account, client: r.client, authTime: r.authTime, scopes: narrowedScopes(r.scopes, in.Scope),
		resources: resources, expiresIn: in.ExpiresIn,
	})
	if err != nil {
		return Tokens{}, err
	}
	tokens.RefreshToken = i.keepRefresh(r)
	return tokens, nil
}

// keepRefresh makes a refresh token.
func (i *Issuer) keepRefresh(r refresh) string {
	var raw [codeBytes]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	i.mu.Lock()
	defer i.mu.Unlock()
	r.used = false
	i.refreshes[token] = r
	i.refreshOrder = append(i.refreshOrder, token)
	if len(i.refreshOrder) > maxRefresh {
		delete(i.refreshes, i.refreshOrder[0])
		i.refreshOrder = i.refreshOrder[1:]
	}
	return token
}

// dropFamily voids all refresh tokens of one sign-in. The caller holds mu; the tokens stay in the order, which is
// bounded.
func (i *Issuer) dropFamily(family string) {
	for token, r := range i.refreshes {
		if r.family == family {
			delete(i.refreshes, token)
		}
	}
}
