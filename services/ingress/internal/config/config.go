// Package config reads the settings of ingress.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
)

// Config holds the settings.
type Config struct {
	Process     run.ProcessConfig
	NoETL       noetl.Config
	Playbooks   noetl.AuthPlaybooks
	Port        int           `env:"ROUTER_PORT,GATEWAY_PORT" file:"server.port" default:"8093"`
	Bind        string        `env:"GATEWAY_BIND" file:"server.bind" default:"0.0.0.0"`
	MaxBody     int64         `env:"INGRESS_MAX_BODY_BYTES" file:"ingress.max_body_bytes" default:"26214400"`
	Listeners   string        `env:"INGRESS_LISTENERS_FILE" file:"ingress.listeners_file"`
	ListenerTTL time.Duration `env:"INGRESS_LISTENER_TTL_SECS" file:"ingress.listener_ttl_secs" default:"30" unit:"s"`
	Stale       time.Duration `env:"INGRESS_LISTENER_STALE_SECS" file:"ingress.listener_stale_secs" default:"300" unit:"s"`
	ClaimTTL    time.Duration `env:"INGRESS_CLAIM_TTL_SECS" file:"ingress.claim_ttl_secs" default:"86400" unit:"s"`
	RatePerMin  int           `env:"INGRESS_RATE_LISTENER_PER_MIN" file:"ingress.rate_listener_per_min" default:"6000"`
	FailPerMin  int           `env:"INGRESS_FAILURE_RATE_PER_MIN" file:"ingress.failure_rate_per_min" default:"600"`
	Deliveries  int           `env:"INGRESS_DELIVERIES_MAX" file:"ingress.deliveries_max" default:"2048"`
	GoogleKeys  string        `env:"INGRESS_GOOGLE_JWKS_URL" file:"ingress.google_jwks_url" default:"https://www.googleapis.com/oauth2/v3/certs"`
	Google      string        `env:"INGRESS_GOOGLE_ISSUER" file:"ingress.google_issuer" default:"https://accounts.google.com"`
	Trusted     []string      `env:"GATEWAY_TRUSTED_PROXIES" file:"server.trusted_proxies" default:"loopback,private"`
	Deadline    time.Duration `env:"INGRESS_DISPATCH_TIMEOUT_SECS" file:"ingress.dispatch_timeout_secs" default:"10" unit:"s"`
	Patience    time.Duration `env:"INGRESS_PATIENCE_SECS" file:"ingress.patience_secs" default:"8" unit:"s"`
	Dispatches  int           `env:"INGRESS_DISPATCHES_MAX" file:"ingress.dispatches_max" default:"256"`
	InboxBytes  int64         `env:"INGRESS_INBOX_MAX_BYTES" file:"ingress.inbox_max_bytes" default:"2147483648"`
	BodiesBytes int64         `env:"INGRESS_BODIES_MAX_BYTES" file:"ingress.bodies_max_bytes" default:"1073741824"`
	Retention   time.Duration `env:"INGRESS_DELIVERY_RETENTION_SECS" file:"ingress.delivery_retention_secs" default:"604800" unit:"s"`
	MinDelay    time.Duration `env:"INGRESS_RETRY_MIN_SECS" file:"ingress.retry_min_secs" default:"1" unit:"s"`
	MaxDelay    time.Duration `env:"INGRESS_RETRY_MAX_SECS" file:"ingress.retry_max_secs" default:"600" unit:"s"`
	Attempts    int           `env:"INGRESS_RETRY_ATTEMPTS" file:"ingress.retry_attempts" default:"30"`
	Expire      time.Duration `env:"INGRESS_RETRY_EXPIRE_SECS" file:"ingress.retry_expire_secs" default:"86400" unit:"s"`
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
		c.Process.Validate(), c.NoETL.Validate(), settings.Port("ROUTER_PORT (or GATEWAY_PORT)", c.Port),
	}
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
	if c.Deadline <= 0 {
		problems = append(problems, errors.New("INGRESS_DISPATCH_TIMEOUT_SECS must be above 0"))
	}
	problems = append(problems, c.inbox()...)
	return errors.Join(problems...)
}

// minInbox is the least that an inbox holds, in bytes: one message of NATS and its outcome fit.
const minInbox = 8 << 20

func (c Config) inbox() []error {
	var problems []error
	if c.Patience <= 0 {
		problems = append(problems, errors.New("INGRESS_PATIENCE_SECS must be above 0"))
	}
	if c.Dispatches <= 0 {
		problems = append(problems, errors.New("INGRESS_DISPATCHES_MAX must be above 0"))
	}
	if c.InboxBytes < minInbox {
		problems = append(problems, fmt.Errorf("INGRESS_INBOX_MAX_BYTES must be at least %d", minInbox))
	}
	if c.BodiesBytes < c.MaxBody {
		problems = append(problems, errors.New("INGRESS_BODIES_MAX_BYTES must not be below INGRESS_MAX_BODY_BYTES"))
	}
	if c.Retention < c.ClaimTTL || c.Retention < c.Expire {
		problems = append(problems, errors.New("INGRESS_DELIVERY_RETENTION_SECS must not be below "+
			"INGRESS_CLAIM_TTL_SECS and INGRESS_RETRY_EXPIRE_SECS"))
	}
	if c.MinDelay <= 0 || c.MaxDelay < c.MinDelay {
		problems = append(problems, errors.New("INGRESS_RETRY_MIN_SECS must be above 0, and INGRESS_RETRY_MAX_SECS "+
			"not below it"))
	}
	if c.Attempts <= 0 {
		problems = append(problems, errors.New("INGRESS_RETRY_ATTEMPTS must be above 0"))
	}
	if c.Expire <= 0 {
		problems = append(problems, errors.New("INGRESS_RETRY_EXPIRE_SECS must be above 0"))
	}
	return problems
}

// loopback reports whether a URL stays on this machine, where plain HTTP has no listeners.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
