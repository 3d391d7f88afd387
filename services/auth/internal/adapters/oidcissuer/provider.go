package oidcissuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// ProviderConfig says where browsers sign in, and as which application of ours. Secret is empty
// for a public client.
type ProviderConfig struct {
	Issuer, ClientID, Secret string
	TTL                      time.Duration // of the issuer's metadata
}

var _ auth.IdentityProvider = (*Provider)(nil)

// Provider asks an issuer to sign browsers in. It is safe for concurrent use.
type Provider struct {
	cfg    ProviderConfig
	client *http.Client

	mu      sync.Mutex
	doc     oidc.Metadata
	fetched time.Time
}

// NewProvider makes the adapter; client as in [oidc.New], but it follows no redirect: the code would
// go along.
func NewProvider(cfg ProviderConfig, client *http.Client) (*Provider, error) {
	if err := oidc.CheckIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	own := *client
	own.Timeout = oidc.FetchTimeout
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("the issuer redirects") }
	return &Provider{cfg: cfg, client: &own}, nil
}

// Issuer returns the issuer.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// ClientID returns our name at the issuer.
func (p *Provider) ClientID() string { return p.cfg.ClientID }

// AuthorizeURL returns where to send a browser.
func (p *Provider) AuthorizeURL(ctx context.Context, a auth.Authorization) (string, error) {
	doc, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(doc.Authorization)
	if err != nil {
		return "", unavailable(err)
	}
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": p.cfg.ClientID, "redirect_uri": a.CallbackURL,
		"scope": "openid profile email",
		"state": a.State, "nonce": a.Nonce, "code_challenge": a.Challenge, "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// NamesIssuer reports whether the issuer's metadata say that its answers have the parameter iss.
func (p *Provider) NamesIssuer(ctx context.Context) (bool, error) {
	doc, err := p.metadata(ctx)
	return doc.NamesIssuer, err
}

// Exchange redeems a code (RFC 6749 section 4.1.3).
func (p *Provider) Exchange(ctx context.Context, code, verifier, callbackURL string) (string, error) {
	doc, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {callbackURL},
		"client_id":     {p.cfg.ClientID},
		"code_verifier": {verifier},
	}
	basic := p.cfg.Secret != "" && (len(doc.TokenAuth) == 0 || slices.Contains(doc.TokenAuth, "client_secret_basic"))
	if p.cfg.Secret != "" && !basic {
		form.Set("client_secret", p.cfg.Secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, doc.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", unavailable(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if basic { // RFC 6749 section 2.3.1: both are form-encoded first
		req.SetBasicAuth(url.QueryEscape(p.cfg.ClientID), url.QueryEscape(p.cfg.Secret))
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", unavailable(
			errors.New("the token endpoint did not answer"),
		) // the cause may quote the URL and nothing secret, but says no more
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, oidc.MaxDocument))
	if err != nil {
		return "", unavailable(errors.New("the token endpoint's answer broke off"))
	}
	return idToken(resp.StatusCode, body)
}

// idToken reads the answer of a token endpoint. invalid_grant is the code's fault, everything
// else that is no token ours or the issuer's.
func idToken(status int, body []byte) (string, error) {
	var answer struct {
		IDToken string `json:"id_token"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil && status == http.StatusOK {
		return "", fault.New(
			fault.BadGateway, "bad_issuer_answer",
			"the identity provider sent an answer that could not be understood",
		)
	}
	switch {
	case status == http.StatusOK && answer.IDToken != "" && answer.Error == "":
		return answer.IDToken, nil
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return "", unavailable(fmt.Errorf("token endpoint: status %d", status))
	case answer.Error == "invalid_grant":
		return "", refuse("code_refused", "the identity provider refused the code: start again", nil)
	default:
		known := answer.Error
		if !slices.Contains(
			[]string{
				"invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type",
				"invalid_scope",
			},
			known,
		) {
			known = "no id_token"
		}
		return "", fault.Wrap(
			fmt.Errorf("token endpoint: status %d, %s", status, known), fault.BadGateway, "bad_issuer_answer",
			"the identity provider did not accept this gateway's request",
		)
	}
}

// metadata returns the issuer's metadata; what is at hand serves while the issuer is unavailable.
func (p *Provider) metadata(ctx context.Context) (oidc.Metadata, error) {
	p.mu.Lock()
	doc, age := p.doc, time.Since(p.fetched)
	p.mu.Unlock()
	if doc.Token != "" && age < p.cfg.TTL {
		return doc, nil
	}
	fresh, err := oidc.Discover(ctx, p.client, p.cfg.Issuer)
	for _, endpoint := range []string{fresh.Authorization, fresh.Token} {
		if err == nil {
			err = oidc.CheckEndpoint(endpoint, p.cfg.Issuer)
		}
	}
	if err != nil {
		if doc.Token != "" && age < oidc.MaxStale {
			return doc, nil
		}
		return oidc.Metadata{}, unavailable(err)
	}
	p.mu.Lock()
	p.doc, p.fetched = fresh, time.Now()
	p.mu.Unlock()
	return fresh, nil
}

func unavailable(cause error) error {
	return fault.Wrap(
		cause, fault.Unavailable, "issuer_unavailable", "the identity provider cannot be asked; try again",
	).
		After(oidc.RetryAfter)
}
