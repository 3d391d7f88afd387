package auth

import (
	"cmp"
	"context"

	"github.com/noetl/gateway/libs/fault"
)

var (
	errNoLogoutToken  = fault.New(fault.Invalid, "missing_logout_token", "logout_token is required")
	errLogoutReplayed = fault.New(fault.Unauthenticated, "logout_replayed", "this logout token was used before")
)

// BackchannelLogoutRequest is an issuer's logout token.
type BackchannelLogoutRequest struct{ Token string }

// BackchannelLogout ends the sessions that an issuer says are over (OpenID Connect Back-Channel
// Logout 1.0, section 2.6): those of its session id, or all of the subject. With both, a session
// whose login named no session id ends too, because it may be meant. A token counts once; one
// whose work failed may be sent again.
func (s *Service) BackchannelLogout(ctx context.Context, in BackchannelLogoutRequest) (RevokeResponse, error) {
	var who Identity
	out, err := s.backchannelLogout(ctx, in, &who)
	switch {
	case err == nil:
		s.audit(ctx, "revocation", who.account(), "backchannel", "revoked", out.Revoked)
	case !fault.IsOutage(err) && ctx.Err() == nil:
		s.audit(ctx, "revocation_refused", who.account(), fault.Of(err).Code)
	}
	return out, err
}

func (s *Service) backchannelLogout(
	ctx context.Context, in BackchannelLogoutRequest, who *Identity,
) (RevokeResponse, error) {
	switch {
	case in.Token == "":
		return RevokeResponse{}, errNoLogoutToken
	case len(in.Token) > maxIdentityToken:
		return RevokeResponse{}, errTokenTooLarge
	}
	claims, err := s.Verifier.VerifyLogout(ctx, in.Token)
	if err != nil {
		return RevokeResponse{}, timeoutAsUnavailable(err)
	}
	*who = Identity{Issuer: claims.Issuer, Subject: cmp.Or(claims.Subject, "sid")}
	id := claims.Issuer + "\x00" + claims.ID
	spent, err := s.Spent.IsSpent(ctx, id)
	switch {
	case err != nil:
		return RevokeResponse{}, timeoutAsUnavailable(err)
	case spent:
		return RevokeResponse{}, errLogoutReplayed
	}
	known, err := s.meant(ctx, claims)
	if err != nil {
		return RevokeResponse{}, timeoutAsUnavailable(err)
	}
	n, err := s.revokeAll(ctx, known)
	if err != nil {
		return RevokeResponse{}, err
	}
	if err := s.Spent.Spend(ctx, id, claims.ExpiresAt); err != nil {
		return RevokeResponse{}, timeoutAsUnavailable(err)
	}
	return RevokeResponse{Revoked: n}, nil
}

func (s *Service) meant(ctx context.Context, c LogoutClaims) ([]KnownSession, error) {
	if c.SessionID == "" {
		return s.Logins.Find(ctx, LoginQuery{Issuer: c.Issuer, Subject: c.Subject})
	}
	known, err := s.Logins.Find(ctx, LoginQuery{Issuer: c.Issuer, SessionID: c.SessionID})
	if err != nil || c.Subject == "" {
		return known, err
	}
	all, err := s.Logins.Find(ctx, LoginQuery{Issuer: c.Issuer, Subject: c.Subject})
	for _, k := range all {
		if !k.HasSessionID {
			known = append(known, k)
		}
	}
	return known, err
}
