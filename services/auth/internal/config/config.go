// Package config holds the settings of the auth service.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
)

// The values of AUTH_BACKEND.
const (
	BackendPlaybook = "playbook"
	BackendSync     = "sync"
	BackendLocal    = "local"
)

// Config holds the settings. Make it with [Load].
type Config struct {
	run.ProcessConfig
	NoETL noetl.Config

	Backend string `env:"AUTH_BACKEND" file:"auth.backend" default:"playbook"`
	// One operation each; the three after them are today's names for the same.
	BackendLogin    string `env:"AUTH_BACKEND_LOGIN" file:"auth.backend_login"`
	BackendValidate string `env:"AUTH_BACKEND_VALIDATE" file:"auth.backend_validate"`
	BackendAccess   string `env:"AUTH_BACKEND_ACCESS" file:"auth.backend_access"`
	AuthSync        bool   `env:"NOETL_AUTH_SYNC" file:"noetl.auth_sync" default:"false"`
	AuthzSync       bool   `env:"NOETL_AUTHZ_SYNC" file:"noetl.authz_sync" default:"false"`
	ViaPlaybook     bool   `env:"GATEWAY_SESSION_VALIDATE_VIA_PLAYBOOK" file:"auth_playbooks.session_validate_via_playbook" default:"true"`

	IssuerURLs  []string      `env:"AUTH_ISSUERS" file:"auth.issuers"`
	AudienceIDs []string      `env:"AUTH_AUDIENCES" file:"auth.audiences"`
	PolicyFile  string        `env:"AUTH_POLICY_FILE" file:"auth.policy_file"`
	ConnectTo   []string      `env:"AUTH_ISSUER_CONNECT_TO" file:"auth.issuer_connect_to"`
	MaxHours    int           `env:"AUTH_SESSION_MAX_HOURS" file:"auth.session_max_hours" default:"24"`
	JWKSTTL     time.Duration `env:"AUTH_JWKS_TTL_SECS" file:"auth.jwks_ttl_secs" default:"3600" unit:"s"`
	JWKSCool    time.Duration `env:"AUTH_JWKS_COOLDOWN_SECS" file:"auth.jwks_cooldown_secs" default:"30" unit:"s"`
	LoginRate   int           `env:"AUTH_LOGIN_RATE_ACCOUNT_PER_MIN" file:"auth.login_rate_account_per_min" default:"10"`
	AccessTTL   time.Duration `env:"AUTH_ACCESS_CACHE_TTL_SECS" file:"auth.access_cache_ttl_secs" default:"5" unit:"s"`
	AdminRoles  []string      `env:"AUTH_ADMIN_ROLES" file:"auth.admin_roles" default:"admin"`
	Unverified  string        `env:"AUTH_UNVERIFIED_EMAIL" file:"auth.unverified_email" default:"reject"`
	MaxLogins   int           `env:"AUTH_MAX_CONCURRENT_LOGINS" file:"auth.max_concurrent_logins" default:"64"`

	Playbooks      noetl.AuthPlaybooks
	Timeout        time.Duration `env:"AUTH_PLAYBOOK_TIMEOUT_SECS" file:"auth_playbooks.timeout_secs" default:"12" unit:"s"`
	DBCredential   string        `env:"AUTH_SESSION_DB_CREDENTIAL" file:"auth_playbooks.session_db_credential" default:"pg_auth"`
	CallbackURL    string        `env:"GATEWAY_CALLBACK_URL" file:"server.callback_url" default:"http://127.0.0.1:8091"`
	CallbackPrefix string        `env:"NATS_CALLBACK_SUBJECT_PREFIX" file:"nats.callback_subject_prefix" default:"noetl.callbacks"`

	SessionBucket string        `env:"NATS_SESSION_BUCKET" file:"nats.session_bucket" default:"sessions"`
	SessionTTL    time.Duration `env:"NATS_SESSION_CACHE_TTL_SECS" file:"nats.session_cache_ttl_secs" default:"300" unit:"s"`

	MCPResource   []string `env:"GATEWAY_MCP_RESOURCE" file:"mcp.resource"`
	PublicURL     string   `env:"GATEWAY_PUBLIC_URL" file:"server.public_url"`
	ClientID      string   `env:"AUTH_CLIENT_ID" file:"auth.client_id"`
	ClientSecret  string   `env:"AUTH_CLIENT_SECRET" file:"auth.client_secret" secret:"true"`
	BrowserIssuer string   `env:"AUTH_BROWSER_ISSUER" file:"auth.browser_issuer"`

	Auth0Domain   string `env:"GATEWAY_AUTH0_DOMAIN" file:"auth0.domain"`
	Auth0ClientID string `env:"GATEWAY_AUTH0_CLIENT_ID" file:"auth0.client_id"`
	Auth0Redirect string `env:"GATEWAY_AUTH0_REDIRECT_URI" file:"auth0.redirect_uri"`
	Auth0Audience string `env:"GATEWAY_AUTH0_AUDIENCE" file:"auth0.audience"`

	Bypass string `env:"GATEWAY_AUTH_BYPASS" file:"auth.bypass" default:"off"`
	Env    string `env:"GATEWAY_ENV" file:"server.env" default:"production"`
}

// Load reads the settings from an environment, as os.Environ returns it, and checks them;
// defaults replace those of the settings that they name.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	var c Config
	err := settings.LoadValid(&c, environ, defaults...)
	return c, err
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	problems := []error{c.ProcessConfig.Validate()}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	backends, err := c.Backends()
	problems = append(problems, err)
	check(!backends.Uses(BackendLocal) || c.PolicyFile != "", "AUTH_POLICY_FILE must be set for the backend local")
	if backends.Uses(BackendPlaybook) || backends.Uses(BackendSync) {
		problems = append(problems, c.NoETL.Validate())
	}
	bypass, err := c.BypassOn()
	problems = append(problems, err)
	// Without an audience a token that was issued for any other application would log in here.
	check(bypass || len(c.Issuers()) > 0, "no identity provider: set AUTH_ISSUERS or GATEWAY_AUTH0_DOMAIN")
	check(
		bypass || len(c.Audiences()) > 0,
		"no accepted audience: set AUTH_AUDIENCES, GATEWAY_AUTH0_AUDIENCE or GATEWAY_AUTH0_CLIENT_ID",
	)
	_, err = c.IssuerConnectTo()
	problems = append(problems, err)
	check(c.MaxHours >= 1 && c.MaxHours <= 8760, "AUTH_SESSION_MAX_HOURS=%d: must be 1 to 8760", c.MaxHours)
	check(c.MaxLogins >= 1, "AUTH_MAX_CONCURRENT_LOGINS=%d: must be at least 1", c.MaxLogins)
	check(c.Unverified == "reject" || c.Unverified == "accept", "AUTH_UNVERIFIED_EMAIL=%q: must be reject or accept",
		c.Unverified)
	check(c.LoginRate >= 0, "AUTH_LOGIN_RATE_ACCOUNT_PER_MIN=%d: must be 0 or more", c.LoginRate)
	check(
		c.AccessTTL >= 0 && c.AccessTTL <= time.Minute, "AUTH_ACCESS_CACHE_TTL_SECS=%s: must be 0 to 60 s",
		c.AccessTTL,
	)
	check(c.PublicURL == "" || httpURL(c.PublicURL), "GATEWAY_PUBLIC_URL must be an http or https URL")
	problems = append(problems, authwire.CheckResources(c.MCPResource))
	check(c.Auth0Redirect == "" || httpURL(c.Auth0Redirect), "GATEWAY_AUTH0_REDIRECT_URI must be an http or https URL")
	check(
		c.BrowserIssuer == "" || slices.Contains(c.Issuers(), c.BrowserIssuer),
		"AUTH_BROWSER_ISSUER=%q: must be one of the accepted issuers", c.BrowserIssuer,
	)
	check(c.ClientSecret == "" || c.BrowserClient() != "", "AUTH_CLIENT_SECRET without AUTH_CLIENT_ID")
	check(c.Timeout >= time.Second, "AUTH_PLAYBOOK_TIMEOUT_SECS=%s: must be at least 1 s", c.Timeout)
	check(c.JWKSTTL >= time.Second, "AUTH_JWKS_TTL_SECS=%s: must be at least 1 s", c.JWKSTTL)
	check(c.JWKSCool >= time.Second, "AUTH_JWKS_COOLDOWN_SECS=%s: must be at least 1 s", c.JWKSCool)
	check(c.SessionTTL >= time.Second, "NATS_SESSION_CACHE_TTL_SECS=%s: must be at least 1 s", c.SessionTTL)
	check(plainBucket(c.SessionBucket), "NATS_SESSION_BUCKET=%q: letters, digits, - and _ only", c.SessionBucket)
	check(
		plainSubject(c.CallbackPrefix), "NATS_CALLBACK_SUBJECT_PREFIX=%q: must be a subject without wildcards",
		c.CallbackPrefix,
	)
	check(httpURL(c.CallbackURL), "GATEWAY_CALLBACK_URL must be an http or https URL")
	return errors.Join(problems...)
}

// MaxSession returns the longest session.
func (c Config) MaxSession() time.Duration { return time.Duration(c.MaxHours) * time.Hour }

// Issuers returns the accepted issuers, each once.
func (c Config) Issuers() []string {
	list := append([]string(nil), c.IssuerURLs...)
	if c.Auth0Domain != "" {
		list = append(list, "https://"+c.Auth0Domain+"/")
	}
	return unique(list)
}

// IssuerConnectTo returns where to connect to instead of an issuer's host and port. Without TLS
// whoever answers there is believed, so that is for development.
func (c Config) IssuerConnectTo() (map[string]string, error) {
	out := make(map[string]string, len(c.ConnectTo))
	for _, pair := range c.ConnectTo {
		from, to, _ := strings.Cut(pair, "=")
		for _, address := range []string{from, to} {
			if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
				return nil, fmt.Errorf("AUTH_ISSUER_CONNECT_TO=%q: must be host:port=host:port", pair)
			}
		}
		out[from] = to
	}
	for _, issuer := range c.Issuers() {
		if len(out) > 0 && strings.HasPrefix(issuer, "http:") && c.Env != "development" {
			return nil, fmt.Errorf(
				"AUTH_ISSUER_CONNECT_TO with the issuer %s, which has no TLS: that is refused unless "+
					"GATEWAY_ENV=development",
				issuer,
			)
		}
	}
	return out, nil
}

// Audiences returns the accepted audiences, each once.
func (c Config) Audiences() []string {
	list := append([]string(nil), c.AudienceIDs...)
	for _, a := range []string{c.Auth0Audience, c.Auth0ClientID, c.ClientID} {
		if a != "" {
			list = append(list, a)
		}
	}
	return unique(list)
}

// Resources returns the audiences of which an access token must have one; none accepts no access token.
func (c Config) Resources() []string { return authwire.Resources(c.MCPResource, c.PublicURL) }

// callbackPath is the route of the edge at which browser logins come back.
const callbackPath = "/api/auth/browser/callback"

// BrowserClient returns our client id at the issuer, empty if browsers cannot log in by code.
func (c Config) BrowserClient() string {
	if c.ClientID != "" {
		return c.ClientID
	}
	return c.Auth0ClientID
}

// SignInIssuer returns the issuer at which browsers sign in, empty if there is none.
func (c Config) SignInIssuer() string {
	issuers := c.Issuers()
	switch {
	case c.BrowserIssuer != "":
		return c.BrowserIssuer
	case c.Auth0Domain != "":
		return "https://" + c.Auth0Domain + "/"
	case len(issuers) > 0:
		return issuers[0]
	default:
		return ""
	}
}

// BrowserCallback returns the callback route as browsers reach it, empty if only the edge can
// tell. The redirect URI of the runtime contract is often that of another application.
func (c Config) BrowserCallback() string {
	if c.PublicURL != "" {
		return strings.TrimRight(c.PublicURL, "/") + callbackPath
	}
	if u, err := url.Parse(c.Auth0Redirect); err == nil && u.Path == callbackPath {
		return c.Auth0Redirect
	}
	return ""
}

// BypassOn reports whether authentication is off.
func (c Config) BypassOn() (bool, error) {
	switch strings.ToLower(c.Bypass) {
	case "", "off", "false", "0", "no":
		return false, nil
	case "on", "true", "1", "yes":
		if c.Env != "development" {
			return false, errors.New("GATEWAY_AUTH_BYPASS is on: that is refused unless GATEWAY_ENV=development")
		}
		return true, nil
	default:
		return false, fmt.Errorf("GATEWAY_AUTH_BYPASS=%q: must be on or off", c.Bypass)
	}
}

func httpURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func plainBucket(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	})
}

// plainSubject tolerates the trailing dot that the prefix of other subjects has.
func plainSubject(s string) bool {
	s = strings.TrimSuffix(s, ".")
	return s != "" && !strings.ContainsAny(s, "*> \t\r\n") && !strings.Contains(s, "..") && s[0] != '.' &&
		s[len(s)-1] != '.'
}

func unique(list []string) []string {
	var out []string
	seen := make(map[string]bool, len(list))
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
