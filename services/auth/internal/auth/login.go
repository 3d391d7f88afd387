package auth

import (
	"context"
	"net/netip"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// Bounds on what a caller can make us send on, in bytes.
const (
	maxIdentityToken = 16 << 10
	maxUserAgent     = 512
)

var errUnverified = fault.New(
	fault.Unauthenticated, "email_not_verified",
	"the identity provider has not verified this email address: verify it there, then log in again",
)

// LoginRequest asks for a session for the holder of an identity provider's token. Hours 0
// means the default.
type LoginRequest struct {
	Token        string
	Domain       string
	RefreshToken string
	Hours        float64
	ClientIP     string
	UserAgent    string
}

// Login verifies the token here, whatever the backend does with it, and has the backend open
// a session. Invalid is a request that must change, Unauthenticated a refused token or
// person, Unavailable a backend that is unavailable or late or answers nonsense.
func (s *Service) Login(ctx context.Context, in LoginRequest) (Opened, error) {
	var who Identity
	out, err := s.login(ctx, in, &who)
	s.noteLogin(ctx, who, out, err)
	return out, err
}

func (s *Service) login(ctx context.Context, in LoginRequest, who *Identity) (Opened, error) {
	switch {
	case in.Token == "":
		return Opened{}, errTokenMissing
	case len(in.Token) > maxIdentityToken || len(in.RefreshToken) > maxIdentityToken:
		return Opened{}, errTokenTooLarge
	}
	life, err := duration(in.Hours, s.rules.MaxSession)
	if err != nil {
		return Opened{}, err
	}
	identity, err := s.Verifier.Verify(ctx, in.Token, in.Domain)
	if err != nil {
		return Opened{}, timeoutAsUnavailable(err)
	}
	*who = identity
	return s.open(ctx, Grant{
		Identity: identity, Token: in.Token, RefreshToken: in.RefreshToken, Domain: in.Domain,
		Duration: life, ClientIP: address(in.ClientIP), UserAgent: visible(in.UserAgent, maxUserAgent),
	})
}

// open has the backend open a session for a verified identity. The limit counts verified logins
// only, or anybody could lock a person out with made-up tokens. A session whose login cannot be
// recorded is not handed out: its user could not end it together with the others.
func (s *Service) open(ctx context.Context, g Grant) (Opened, error) {
	if s.rules.RejectUnverified && g.Identity.EmailUnverified {
		return Opened{}, errUnverified
	}
	if err := s.Limiter.Check(g.Identity.Issuer + "\x00" + g.Identity.Subject); err != nil {
		return Opened{}, err
	}
	opened, err := s.Backend.Login(ctx, g)
	if err != nil {
		return Opened{}, timeoutAsUnavailable(err)
	}
	if !LegalToken(opened.Token) || !opened.Session.Live(time.Now()) {
		return Opened{}, ErrMalformed
	}
	if !g.Until.IsZero() && opened.Session.ExpiresAt.After(g.Until) {
		opened.Session.ExpiresAt = g.Until
	}
	record := LoginRecord{
		Issuer: g.Identity.Issuer, Subject: g.Identity.Subject, SessionID: g.Identity.SessionID,
		Users: opened.Session.User.keys(), ExpiresAt: opened.Session.ExpiresAt, User: opened.Session.User,
	}
	record.User.Roles = nil
	if err := s.Logins.Record(ctx, opened.Token.Key(), record); err != nil {
		return Opened{}, timeoutAsUnavailable(err)
	}
	s.absent.remove(opened.Token)
	s.countCache(StageLogin, s.Cache.Fill(ctx, opened.Token, opened.Session)) // a failure costs a question later
	return opened, nil
}

func loginOutcome(err error) Outcome {
	kind, failed := fault.KindOf(err)
	switch {
	case !failed:
		return Success
	case kind == fault.Unauthenticated || kind == fault.Denied:
		return Refused
	case kind == fault.RateLimited:
		return Limited
	case kind == fault.Invalid || kind == fault.TooLarge:
		return Malformed
	default:
		return Failed
	}
}

// address returns the text of an IP address, and nothing else: it ends in NoETL's tables.
func address(text string) string {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return ip.String()
}

// visible drops control characters and cuts the text at a number of bytes.
func visible(text string, limit int) string {
	out := make([]rune, 0, min(len(text), limit))
	size := 0
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			continue
		}
		if size += len(string(r)); size > limit {
			break
		}
		out = append(out, r)
	}
	return string(out)
}
