package issuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
)

// AuthorizeRequest is what a client sends a person's browser to the issuer with.
type AuthorizeRequest struct {
	ResponseType    string
	ClientID        string
	RedirectURI     string
	State           string
	Nonce           string
	Challenge       string
	ChallengeMethod string
	Scope           string
	Resources       []string // RFC 8707
}

const (
	maxParameter = 2048 // of state and nonce, in bytes: they are stored and sent back
	codeBytes    = 32
)

// Client checks what must be right before an answer may go to the redirect URI at all, and returns who asks. Its
// error is for the person, not for the client (RFC 6749, section 4.1.2.1).
func (i *Issuer) Client(ctx context.Context, in AuthorizeRequest) (Client, error) {
	c, err := i.find(ctx, in.ClientID)
	switch {
	case err != nil:
		return Client{}, err
	case i.mayRedirect(c, in.RedirectURI):
		return c, nil
	case c.Known:
		return Client{}, refuse(
			InvalidRequest, "redirect_uri must be http on loopback, or one that SANDBOX_REDIRECT_URIS lists",
		)
	default:
		return Client{}, refuse(InvalidRequest, "redirect_uri must be one that the application registered")
	}
}

// Check checks the rest of the request. Its error goes to the redirect URI.
func (i *Issuer) Check(in AuthorizeRequest) error {
	switch {
	case in.ResponseType != "code":
		return refuse(UnsupportedResponse, "response_type must be code")
	case in.ChallengeMethod != "S256":
		return refuse(InvalidRequest, "code_challenge_method must be S256")
	case len(in.Challenge) != base64.RawURLEncoding.EncodedLen(sha256.Size):
		return refuse(InvalidRequest, "code_challenge must be the base64url SHA-256 of the verifier")
	case len(in.State) > maxParameter || len(in.Nonce) > maxParameter:
		return refuse(InvalidRequest, "state and nonce may have at most 2048 bytes")
	}
	return checkResources(in.Resources)
}

// Asked returns the scopes that a request gets.
func (in AuthorizeRequest) Asked() []string { return knownScopes(in.Scope) }

// grant is what a code stands for.
type grant struct {
	account  Account
	client   Client
	request  AuthorizeRequest
	authTime time.Time
}

// Login returns a code for the person with that address and password, false if they are
// wrong. The request must have passed Client, which gave c, and Check.
func (i *Issuer) Login(c Client, in AuthorizeRequest, email, password string) (string, bool) {
	account, ok := i.accounts.Authenticate(email, password)
	if !ok {
		return "", false
	}
	return i.code(c, in, account), true
}

// LoginAs is what the three buttons of the login page do: the accounts' password is public.
func (i *Issuer) LoginAs(c Client, in AuthorizeRequest, email string) (string, bool) {
	account, ok := i.accounts.ByEmail(email)
	if !ok {
		return "", false
	}
	return i.code(c, in, account), true
}

func (i *Issuer) code(c Client, in AuthorizeRequest, account Account) string {
	var raw [codeBytes]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	code := base64.RawURLEncoding.EncodeToString(raw[:])
	i.mu.Lock()
	defer i.mu.Unlock()
	i.codes[code] = grant{account: account, client: c, request: in, authTime: time.Now()}
	i.order = append(i.order, code)
	if len(i.order) > maxCodes {
		delete(i.codes, i.order[0])
		i.order = i.order[1:]
	}
	return code
}

// RedeemRequest is the authorization_code grant.
type RedeemRequest struct {
	Code        string
	ClientID    string
	RedirectURI string
	Verifier    string
	ExpiresIn   string
	Resources   []string // of those that were asked for with the code; none is all
}

// verifierForm reports whether v has the syntax of RFC 7636, section 4.1.
func verifierForm(v string) bool {
	return len(v) >= 43 && len(v) <= 128 &&
		strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") == ""
}

// Redeem exchanges a code for tokens. Whatever the outcome, the code is spent.
func (i *Issuer) Redeem(in RedeemRequest) (Tokens, error) {
	i.mu.Lock()
	g, ok := i.codes[in.Code]
	delete(i.codes, in.Code)
	i.mu.Unlock()
	switch {
	case in.Code == "":
		return Tokens{}, refuse(InvalidRequest, "code is required")
	case !ok:
		return Tokens{}, refuse(InvalidGrant, "the code is unknown or was used before")
	case time.Since(g.authTime) > codeLife:
		return Tokens{}, refuse(InvalidGrant, "the code has expired")
	case in.ClientID != g.request.ClientID:
		return Tokens{}, refuse(InvalidGrant, "the code was made for another client_id")
	case in.RedirectURI != g.request.RedirectURI:
		return Tokens{}, refuse(InvalidGrant, "the code was made for another redirect_uri")
	case !verifierForm(in.Verifier):
		return Tokens{}, refuse(InvalidRequest, "code_verifier must be 43 to 128 unreserved characters")
	}
	sum := sha256.Sum256([]byte(in.Verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(challenge), []byte(g.request.Challenge)) != 1 {
		return Tokens{}, refuse(InvalidGrant, "code_verifier does not match the code_challenge")
	}
	resources, err := narrowedResources(g.request.Resources, in.Resources)
	if err != nil {
		return Tokens{}, err
	}
	scopes := g.request.Asked()
	tokens, err := i.tokens(order{
		account: g.account, client: in.ClientID, nonce: g.request.Nonce, authTime: g.authTime, scopes: scopes,
		resources: resources, expiresIn: in.ExpiresIn,
	})
	if err == nil && g.client.Refreshes {
		tokens.RefreshToken = i.keepRefresh(refresh{
			family: newID(), client: in.ClientID, account: g.account, scopes: scopes, granted: g.request.Resources,
			authTime: g.authTime,
		})
	}
	return tokens, err
}
