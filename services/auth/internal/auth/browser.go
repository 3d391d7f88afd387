package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

const (
	// flowLife is how long a person may take to sign in at the issuer.
	flowLife = 10 * time.Minute
	// maxReturnTo bounds where a browser goes after a login, in bytes.
	maxReturnTo = 2048
	// maxCode bounds an authorization code, in bytes.
	maxCode = 4096
)

var (
	errBrowserOff = fault.New(
		fault.Unavailable, "browser_login_off", "browser login is not configured here: set AUTH_CLIENT_ID",
	)
	errBadCallback = fault.New(fault.Invalid, "bad_callback_url", "the callback URL must be an http or https URL")
	errFlowUnknown = fault.New(
		fault.Invalid, "login_expired",
		"this login is not known, was used, or took longer than 10 minutes: start again",
	)
	errFlowForeign = fault.New(
		fault.Denied, "other_browser",
		"this login was started in another browser, or cookies are blocked: start again",
	)
	errFlowIssuer = fault.New(
		fault.Unauthenticated, "wrong_issuer", "the answer is not from the identity provider that was asked",
	)
	errCodeMissing  = fault.New(fault.Invalid, "missing_code", "the identity provider sent neither a code nor an error")
	errLoginRefused = fault.New(
		fault.Unauthenticated, "provider_refused", "the identity provider did not sign you in: start again",
	)
	errLoginCanceled = fault.New(fault.Unauthenticated, "login_canceled", "the sign-in was canceled: start again")
)

// BrowserBeginRequest begins a login by authorization code. Binding is what ties earlier logins
// under way to this browser, empty if there are none. Operator says that the browser is at the
// operators' own listener, and must come back there.
type BrowserBeginRequest struct {
	ReturnTo     string
	ReturnOrigin string // another origin, which the caller allows
	CallbackURL  string
	Binding      string
	Operator     bool
}

// BrowserBeginResponse says where the browser must go and what it must keep until it is back.
type BrowserBeginResponse struct {
	AuthorizeURL string
	Binding      string
	Life         time.Duration
}

// BrowserBegin begins a login (RFC 6749 section 4.1, RFC 7636, OpenID Connect Core section 3.1).
// What is stored does not suffice to finish it: nonce and code verifier come from the binding,
// which only the browser has. One binding serves several logins under way, in several tabs.
func (s *Service) BrowserBegin(ctx context.Context, in BrowserBeginRequest) (BrowserBeginResponse, error) {
	if s.Provider == nil {
		return BrowserBeginResponse{}, errBrowserOff
	}
	callback := s.rules.CallbackURL
	if callback == "" || in.Operator {
		callback = in.CallbackURL
	}
	if u, err := url.Parse(callback); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return BrowserBeginResponse{}, errBadCallback
	}
	binding := in.Binding
	if !isSecret(binding) {
		binding = newSecret()
	}
	state := newSecret()
	target, err := s.Provider.AuthorizeURL(ctx, Authorization{
		State:       state,
		Nonce:       derive("nonce", binding, state),
		Challenge:   challenge(derive("verifier", binding, state)),
		CallbackURL: callback,
	})
	if err != nil {
		return BrowserBeginResponse{}, timeoutAsUnavailable(err)
	}
	flow := Flow{
		Issuer:      s.Provider.Issuer(),
		Binding:     sha256.Sum256([]byte(binding)),
		CallbackURL: callback,
		ReturnTo:    in.ReturnOrigin + localPath(in.ReturnTo),
	}
	if err := s.Flows.Begin(ctx, state, flow, flowLife); err != nil {
		return BrowserBeginResponse{}, timeoutAsUnavailable(err)
	}
	return BrowserBeginResponse{AuthorizeURL: target, Binding: binding, Life: flowLife}, nil
}

// BrowserFinishRequest is what the issuer sent the browser back with.
type BrowserFinishRequest struct {
	State, Code, Issuer, Error string
	Binding                    string
	ClientIP, UserAgent        string
}

// BrowserFinishResponse is a session and where the browser wanted to go.
type BrowserFinishResponse struct {
	Opened   Opened
	ReturnTo string
}

// BrowserFinish opens the session. A state counts once, and only in the browser that began it:
// otherwise somebody could log a victim's browser in as themselves.
func (s *Service) BrowserFinish(ctx context.Context, in BrowserFinishRequest) (BrowserFinishResponse, error) {
	var who Identity
	out, err := s.browserFinish(ctx, in, &who)
	s.noteLogin(ctx, who, out.Opened, err)
	return out, err
}

func (s *Service) browserFinish(
	ctx context.Context, in BrowserFinishRequest, who *Identity,
) (BrowserFinishResponse, error) {
	if s.Provider == nil {
		return BrowserFinishResponse{}, errBrowserOff
	}
	// Before the state is spent: an issuer that is unavailable now may answer the second attempt.
	named, err := s.Provider.NamesIssuer(ctx)
	if err != nil {
		return BrowserFinishResponse{}, timeoutAsUnavailable(err)
	}
	flow, err := s.takeFlow(ctx, in)
	if err != nil {
		return BrowserFinishResponse{}, err
	}
	// An answer that names nobody may be another provider's, whose code we must not redeem here, or the other way
	// round (RFC 9207, section 2.4).
	switch {
	case in.Issuer == "" && named, in.Issuer != "" && in.Issuer != flow.Issuer, flow.Issuer != s.Provider.Issuer():
		return BrowserFinishResponse{}, errFlowIssuer
	case in.Error == "access_denied":
		return BrowserFinishResponse{}, errLoginCanceled
	case in.Error != "":
		return BrowserFinishResponse{}, fault.Wrap(
			errors.New(visible(in.Error, 100)), errLoginRefused.Kind, errLoginRefused.Code, errLoginRefused.Message,
		)
	case in.Code == "" || len(in.Code) > maxCode:
		return BrowserFinishResponse{}, errCodeMissing
	}
	token, err := s.Provider.Exchange(ctx, in.Code, derive("verifier", in.Binding, in.State), flow.CallbackURL)
	if err != nil {
		return BrowserFinishResponse{}, timeoutAsUnavailable(err)
	}
	identity, err := s.Verifier.VerifyID(
		ctx, token,
		IDClaims{Issuer: flow.Issuer, ClientID: s.Provider.ClientID(), Nonce: derive("nonce", in.Binding, in.State)},
	)
	if err != nil {
		return BrowserFinishResponse{}, timeoutAsUnavailable(err)
	}
	*who = identity
	opened, err := s.open(ctx, Grant{
		Identity: identity, Token: token, Duration: min(DefaultDuration, s.rules.MaxSession),
		ClientIP: address(in.ClientIP), UserAgent: visible(in.UserAgent, maxUserAgent),
	})
	if err != nil {
		return BrowserFinishResponse{}, err
	}
	return BrowserFinishResponse{Opened: opened, ReturnTo: flow.ReturnTo}, nil
}

// takeFlow spends a state. Another browser's attempt leaves it to the one that began it.
func (s *Service) takeFlow(ctx context.Context, in BrowserFinishRequest) (Flow, error) {
	if !isSecret(in.State) {
		return Flow{}, errFlowUnknown
	}
	flow, found, err := s.Flows.Get(ctx, in.State)
	switch {
	case err != nil:
		return Flow{}, timeoutAsUnavailable(err)
	case !found:
		return Flow{}, errFlowUnknown
	}
	if sum := sha256.Sum256([]byte(in.Binding)); subtle.ConstantTimeCompare(sum[:], flow.Binding[:]) != 1 {
		return Flow{}, errFlowForeign
	}
	taken, err := s.Flows.Take(ctx, in.State)
	if err != nil {
		return Flow{}, timeoutAsUnavailable(err)
	}
	if !taken {
		return Flow{}, errFlowUnknown
	}
	return flow, nil
}

// derive makes one of a flow's secrets. The result has the form of a code verifier.
func derive(purpose, binding, state string) string {
	sum := sha256.Sum256([]byte("noetl-gateway " + purpose + "\x00" + binding + "\x00" + state))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// challenge is S256 of RFC 7636, section 4.2.
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// isSecret reports whether a text has the form of what newSecret makes.
func isSecret(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == 32
}

// localPath returns a path of this origin, or / for anything that a browser may take for more:
// browsers read a backslash as a slash and skip control characters, so that /\t/evil.example is
// another host (WHATWG URL, section 4.4).
func localPath(p string) string {
	if p == "" || p[0] != '/' || len(p) > maxReturnTo || strings.HasPrefix(p, "//") ||
		strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' || r > '~' }) {
		return "/"
	}
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return "/"
	}
	return p
}
