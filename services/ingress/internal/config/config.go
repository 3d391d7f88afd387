// Package config reads the settings of ingress.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/noetl/gateway/libs/config"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
)

// Config holds the settings.
type Config struct {
	Process     run.ProcessConfig
	NoETL       noetl.Config
	Playbooks   noetl.AuthPlaybooks
	Port        int           `env:"ROUTER_PORT,GATEWAY_PORT" file:"server.port" default:"8093" doc:"listener for deliveries, behind edge-proxy; 0 picks a free port"`
	Bind        string        `env:"GATEWAY_BIND" file:"server.bind" default:"0.0.0.0" doc:"address of that listener"`
	MaxBody     int64         `env:"INGRESS_MAX_BODY_BYTES" file:"ingress.max_body_bytes" default:"10485760" doc:"largest delivery, in bytes"`
	ListenerTTL time.Duration `env:"INGRESS_LISTENER_TTL_SECS" file:"ingress.listener_ttl_secs" default:"30" unit:"s" doc:"how long a listener's configuration is used without asking NoETL again"`
	Stale       time.Duration `env:"INGRESS_LISTENER_STALE_SECS" file:"ingress.listener_stale_secs" default:"300" unit:"s" doc:"how much longer it is used while NoETL is asked in the background, or is away"`
	ClaimTTL    time.Duration `env:"INGRESS_CLAIM_TTL_SECS" file:"ingress.claim_ttl_secs" default:"86400" unit:"s" doc:"how long a delivery that its sender gave an id is remembered; a repetition gets the first one's answer"`
	RatePerMin  int           `env:"INGRESS_RATE_LISTENER_PER_MIN" file:"ingress.rate_listener_per_min" default:"6000" doc:"genuine deliveries per minute and listener, a tenth of it in one burst; 0 does not limit. Each replica counts for itself, here and below"`
	FailPerMin  int           `env:"INGRESS_FAILURE_RATE_PER_MIN" file:"ingress.failure_rate_per_min" default:"600" doc:"deliveries that are not genuine, per minute, listener and sender's address, a tenth of it in one burst; likewise deliveries to listeners that do not exist; 0 does not limit"`
	Deliveries  int           `env:"INGRESS_DELIVERIES_MAX" file:"ingress.deliveries_max" default:"512" doc:"deliveries that are handled concurrently, each with its body and a call to NoETL; one more is answered 429"`
	GoogleKeys  string        `env:"INGRESS_GOOGLE_JWKS_URL" file:"ingress.google_jwks_url" default:"https://www.googleapis.com/oauth2/v3/certs" doc:"keys that Pub/Sub's tokens are signed with"`
	Google      string        `env:"INGRESS_GOOGLE_ISSUER" file:"ingress.google_issuer" default:"https://accounts.google.com" doc:"issuer of Pub/Sub's tokens"`
	Trusted     []string      `env:"GATEWAY_TRUSTED_PROXIES" file:"server.trusted_proxies" default:"loopback,private" doc:"networks, addresses, loopback or private: proxies whose X-Forwarded-For is believed; edge-proxy is one"`
	Patience    time.Duration `env:"INGRESS_DISPATCH_TIMEOUT_SECS" file:"ingress.dispatch_timeout_secs" default:"10" unit:"s" doc:"longest time for one delivery; senders wait 3 to 10 s"`
}

// Load reads the settings and checks them. defaults replace those of the tags.
func Load(environ []string, defaults ...config.Default) (Config, error) {
	var c Config
	if err := config.Load(&c, environ, defaults...); err != nil {
		return c, err
	}
	return c, c.Validate()
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	problems := []error{c.Process.Validate(), c.NoETL.Validate(), config.Port("GATEWAY_PORT", c.Port)}
	if c.MaxBody <= 0 {
		problems = append(problems, errors.New("INGRESS_MAX_BODY_BYTES must be above 0"))
	}
	if c.ListenerTTL < 0 {
		problems = append(problems, errors.New("INGRESS_LISTENER_TTL_SECS must not be negative"))
	}
	if c.Stale < 0 {
		problems = append(problems, errors.New("INGRESS_LISTENER_STALE_SECS must not be negative"))
	}
	if c.ClaimTTL < time.Minute {
		problems = append(problems, errors.New("INGRESS_CLAIM_TTL_SECS must be at least 60"))
	}
	if _, err := httpkit.ParseProxies(c.Trusted); err != nil {
		problems = append(problems, fmt.Errorf("GATEWAY_TRUSTED_PROXIES: %w", err))
	}
	if u, err := url.Parse(c.GoogleKeys); err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u) {
		problems = append(problems, fmt.Errorf("INGRESS_GOOGLE_JWKS_URL=%q must be an https URL", c.GoogleKeys))
	}
	if c.Deliveries <= 0 {
		problems = append(problems, errors.New("INGRESS_DELIVERIES_MAX must be above 0"))
	}
	if c.Patience <= 0 {
		problems = append(problems, errors.New("INGRESS_DISPATCH_TIMEOUT_SECS must be above 0"))
	}
	return errors.Join(problems...)
}

// loopback reports whether a URL stays on this machine, where plain HTTP has no listeners.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
