// Package config reads the settings of edge-proxy.
package config

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/weborigin"
)

// Config holds the settings.
type Config struct {
	Process        run.ProcessConfig
	NoETL          noetl.Config
	Sessions       sessions.Config
	TLS            httpkit.TLSConfig
	Web            weborigin.Config
	Port           int      `env:"ROUTER_PORT,GATEWAY_PORT" file:"server.port" default:"8090"`
	Bind           string   `env:"GATEWAY_BIND" file:"server.bind" default:"0.0.0.0"`
	TrustedProxies []string `env:"GATEWAY_TRUSTED_PROXIES" file:"server.trusted_proxies"`

	RateAddress int `env:"GATEWAY_RATE_ADDRESS_PER_MIN" file:"limits.rate_address_per_min" default:"60000"`
	RateSession int `env:"GATEWAY_RATE_SESSION_PER_MIN" file:"limits.rate_session_per_min" default:"12000"`
	RateLogin   int `env:"GATEWAY_LOGIN_RATE_ADDRESS_PER_MIN" file:"limits.login_rate_address_per_min" default:"60"`
	RateAuth    int `env:"GATEWAY_AUTH_RATE_ADDRESS_PER_MIN" file:"limits.auth_rate_address_per_min" default:"1200"`

	Auth0 Auth0

	CallbackURL string `env:"GATEWAY_CALLBACK_URL" file:"server.callback_url" default:"http://127.0.0.1:8091"`
	EventsURL   string `env:"GATEWAY_EVENTS_URL" file:"server.events_url" default:"http://127.0.0.1:8092"`
	IngressURL  string `env:"GATEWAY_INGRESS_URL" file:"server.ingress_url" default:"http://127.0.0.1:8093"`

	ExposeInternal bool  `env:"GATEWAY_EXPOSE_INTERNAL" file:"server.expose_internal" default:"false"`
	MaxBody        int64 `env:"GATEWAY_MAX_BODY_BYTES" file:"server.max_body_bytes" default:"10485760"`
	AnswerBytes    int64 `env:"GATEWAY_GRAPHQL_ANSWER_BYTES" file:"limits.graphql_answer_bytes" default:"16777216"`

	ProxyTimeout time.Duration `env:"GATEWAY_PROXY_TIMEOUT_SECS" file:"noetl.proxy_timeout_secs" default:"300" unit:"s"`

	Authority Authority
	Operator  Operator
	MCP       MCP
	Console   bool `env:"GATEWAY_CONSOLE" file:"server.console" default:"false"`
}

// Auth0 is what the runtime contract tells clients that log in with Auth0.
type Auth0 struct {
	Domain      string `env:"GATEWAY_AUTH0_DOMAIN" file:"auth0.domain"`
	ClientID    string `env:"GATEWAY_AUTH0_CLIENT_ID" file:"auth0.client_id"`
	RedirectURI string `env:"GATEWAY_AUTH0_REDIRECT_URI" file:"auth0.redirect_uri"`
	Audience    string `env:"GATEWAY_AUTH0_AUDIENCE" file:"auth0.audience"`
}

// Load reads the settings and checks them. defaults replace those of the tags.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	var c Config
	err := settings.LoadValid(&c, environ, defaults...)
	return c, err
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	problems := []error{
		c.Process.Validate(), c.NoETL.Validate(), c.TLS.Validate(), c.Web.Validate(), c.Authority.Validate(),
		c.Operator.Validate(), c.MCP.Validate(),
		settings.Port("ROUTER_PORT (or GATEWAY_PORT)", c.Port),
	}
	for _, u := range []struct{ name, value string }{
		{"GATEWAY_CALLBACK_URL", c.CallbackURL},
		{"GATEWAY_EVENTS_URL", c.EventsURL},
		{"GATEWAY_INGRESS_URL", c.IngressURL},
	} {
		if parsed, err := url.Parse(u.value); err != nil || parsed.Host == "" ||
			(parsed.Scheme != "http" && parsed.Scheme != "https") {
			problems = append(problems, fmt.Errorf("%s=%q must be an http or https URL", u.name, u.value))
		}
	}
	if _, err := httpkit.ParseProxies(c.TrustedProxies); err != nil {
		problems = append(problems, fmt.Errorf("GATEWAY_TRUSTED_PROXIES: %w", err))
	}
	if c.MaxBody <= 0 {
		problems = append(problems, errors.New("GATEWAY_MAX_BODY_BYTES must be above 0"))
	}
	if c.AnswerBytes < 8<<20 {
		problems = append(problems, errors.New("GATEWAY_GRAPHQL_ANSWER_BYTES must be at least 8388608"))
	}
	if c.ProxyTimeout <= 0 {
		problems = append(problems, errors.New("GATEWAY_PROXY_TIMEOUT_SECS must be above 0"))
	}
	return errors.Join(problems...)
}
