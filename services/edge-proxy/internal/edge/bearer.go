package edge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// Bearers is the auth service's exchange of access tokens for sessions. Its faults pass through as they are.
type Bearers interface {
	Bearer(ctx context.Context, in authwire.BearerRequest) (authwire.BearerResponse, error)
}

// NearBearers is this process's memory of exchanges. It MUST be safe for concurrent use, bounded, and not return what
// is older than the life that Set was given.
type NearBearers interface {
	Get(key authwire.TokenKey) (authwire.BearerResponse, bool)
	Set(key authwire.TokenKey, r authwire.BearerResponse, life time.Duration)
}

// BadBearers counts refused access tokens by the address that sent them.
//
// Exhausted MUST be RateLimited for an address that sent too many, and MUST NOT count. It MUST be safe for concurrent
// use and bounded.
type BadBearers interface {
	Exhausted(clientIP string) error
	Count(clientIP string)
}

// bearerLife is the longest that an exchange is believed without asking auth again. The end of the session does not
// wait for it: whoever uses the session resolves it.
const bearerLife = time.Minute

// bearerTimeout bounds an exchange: it may be a login, which may be an execution in NoETL.
const bearerTimeout = 13 * time.Second

// maxAccessToken bounds an access token, in bytes.
const maxAccessToken = 16 << 10

var errNoAccessToken = fault.New(
	fault.Unauthenticated, "malformed_token",
	"the access token is not a JSON Web Token of at most 16384 bytes: get one from the authorization server",
)

// BearerRequest shows an access token.
type BearerRequest struct {
	AccessToken string
	ClientIP    string
	UserAgent   string
}

// BearerResponse is the session of its holder, what the token is for, and when it expires.
type BearerResponse struct {
	Token     authwire.Token
	Scopes    []string
	ExpiresAt time.Time
}

// Bearer returns the session of an access token's holder. It says nothing about whether the session lives still:
// that is for whoever resolves it. An address whose tokens are refused too often has to wait, but not with a token
// that was accepted here just now.
func (s *Service) Bearer(ctx context.Context, in BearerRequest) (BearerResponse, error) {
	if len(in.AccessToken) > maxAccessToken || !IsAccessToken(in.AccessToken) {
		return BearerResponse{}, errNoAccessToken
	}
	key := authwire.NewToken(in.AccessToken).Key()
	if known, ok := s.NearBearers.Get(key); ok && time.Now().Before(known.ExpiresAt) {
		return bearerOf(known), nil
	}
	if err := s.BadBearers.Exhausted(in.ClientIP); err != nil {
		return BearerResponse{}, err
	}
	// The flight outlives the caller that started it: the others still want its answer.
	result := s.exchanges.DoChan(string(key[:]), func() (any, error) {
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bearerTimeout)
		defer cancel()
		out, err := s.Bearers.Bearer(fctx, authwire.BearerRequest{
			AccessToken: in.AccessToken, ClientIP: in.ClientIP, ClientUserAgent: in.UserAgent,
		})
		switch kind, _ := fault.KindOf(err); {
		case kind == fault.Unauthenticated || kind == fault.Denied:
			s.BadBearers.Count(in.ClientIP) // here, so that one who leaves early is counted too
		case err == nil:
			if life := min(bearerLife, time.Until(out.ExpiresAt)); life > 0 {
				s.NearBearers.Set(key, out, life)
			}
		}
		return out, err
	})
	select {
	case <-ctx.Done():
		return BearerResponse{}, ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return BearerResponse{}, r.Err
		}
		out, ok := r.Val.(authwire.BearerResponse)
		if !ok || out.SessionToken == "" || !time.Now().Before(out.ExpiresAt) {
			return BearerResponse{}, errNoAccessToken
		}
		return bearerOf(out), nil
	}
}

func bearerOf(r authwire.BearerResponse) BearerResponse {
	return BearerResponse{
		Token: authwire.NewToken(r.SessionToken), Scopes: slices.Clone(r.Scopes), ExpiresAt: r.ExpiresAt,
	}
}

// IsAccessToken reports whether a text has the form of a signed JSON Web Token (RFC 7515, section 7.1): three parts,
// the first of which is a JSON object with an algorithm. A session token has not. Whether the token counts is for auth
// to say.
func IsAccessToken(text string) bool {
	head, rest, ok := strings.Cut(text, ".")
	if !ok || strings.Count(rest, ".") != 1 || len(head) > maxTokenHead {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return false
	}
	var alg string
	return json.Unmarshal(members["alg"], &alg) == nil && alg != ""
}

// maxTokenHead bounds the head of a token that is looked at, in bytes: real ones have a few hundred.
const maxTokenHead = 8 << 10
