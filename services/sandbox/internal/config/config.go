// Package config holds the settings of the sandbox.
package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// Config is every setting of the sandbox.
type Config struct {
	Process       run.ProcessConfig
	Generation    string        `env:"SANDBOX_GENERATION" file:"sandbox.generation" default:"rust"`
	EventLag      time.Duration `env:"SANDBOX_EVENT_LAG_MS" file:"sandbox.event_lag_ms" default:"0" unit:"ms"`
	Rerun         bool          `env:"SANDBOX_RERUN" file:"sandbox.rerun" default:"true"`
	Conformance   bool          `env:"SANDBOX_CONFORMANCE" file:"sandbox.conformance" default:"false"`
	Port          int           `env:"SANDBOX_PORT" file:"sandbox.port" default:"8082"`
	Bind          string        `env:"SANDBOX_BIND" file:"sandbox.bind" default:"127.0.0.1"`
	PublicURL     string        `env:"SANDBOX_PUBLIC_URL" file:"sandbox.public_url"`
	Issuer        string        `env:"SANDBOX_ISSUER" file:"sandbox.issuer"`
	CallbackHosts []string      `env:"SANDBOX_CALLBACK_HOSTS" file:"sandbox.callback_hosts"`
	RedirectURIs  []string      `env:"SANDBOX_REDIRECT_URIS" file:"sandbox.redirect_uris"`

	ClientDocuments bool `env:"SANDBOX_CLIENT_DOCUMENTS" file:"sandbox.client_documents" default:"false"`

	InternalToken string `env:"NOETL_INTERNAL_API_TOKEN" file:"noetl.internal_api_token" default:"sandbox-internal-token" secret:"true"`
	CallbackToken string `env:"GATEWAY_INTERNAL_TOKEN" file:"server.internal_token" secret:"true"`
	SessionBucket string `env:"NATS_SESSION_BUCKET" file:"nats.session_bucket" default:"sessions" doc:"bucket of the login playbook's sessions"`

	SessionTTL time.Duration `env:"NATS_SESSION_CACHE_TTL_SECS" file:"nats.session_cache_ttl_secs" default:"300" unit:"s"`

	EventStream   string `env:"NATS_UPDATES_STREAM" file:"nats.updates_stream" doc:"stream of lifecycle events; empty: the generation's"`
	EventSubjects string `env:"NATS_UPDATES_SUBJECT_PREFIX" file:"nats.updates_subject_prefix" default:"noetl.events."`
}

// maxEventLag bounds the lag: what waits is kept in memory.
const maxEventLag = time.Minute

// Load reads the settings from the environment and the file that it names; defaults replace
// those of the tags.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	var c Config
	err := settings.LoadValid(&c, environ, defaults...)
	return c, err
}

// Validate reports what is wrong with the settings.
func (c Config) Validate() error {
	errs := []error{c.Process.Validate(), settings.Port("SANDBOX_PORT", c.Port)}
	if c.PublicURL != "" {
		errs = append(errs, webURL("SANDBOX_PUBLIC_URL", c.PublicURL))
	}
	if c.Issuer != "" {
		errs = append(errs, webURL("SANDBOX_ISSUER", c.Issuer))
		if !strings.HasSuffix(c.Issuer, "/oidc") {
			errs = append(
				errs,
				fmt.Errorf("SANDBOX_ISSUER=%q: must end in /oidc, the path under which the issuer is served", c.Issuer),
			)
		}
	}
	for _, u := range c.RedirectURIs {
		errs = append(errs, webURL("SANDBOX_REDIRECT_URIS", u))
	}
	for _, h := range c.CallbackHosts {
		if strings.ContainsAny(h, "/@*? ") {
			errs = append(errs, fmt.Errorf("SANDBOX_CALLBACK_HOSTS: %q is not a host or host:port", h))
		}
	}
	if c.InternalToken == "" {
		errs = append(errs, errors.New("NOETL_INTERNAL_API_TOKEN must not be empty"))
	}
	if c.SessionBucket == "" {
		errs = append(errs, errors.New("NATS_SESSION_BUCKET must not be empty"))
	}
	if !slices.Contains(sandbox.Generations(), sandbox.Generation(c.Generation)) {
		errs = append(errs, fmt.Errorf("SANDBOX_GENERATION=%q: must be python, rust or feed", c.Generation))
	}
	if c.EventLag < 0 || c.EventLag > maxEventLag {
		errs = append(errs, fmt.Errorf("SANDBOX_EVENT_LAG_MS=%s: must be 0 to 60 s", c.EventLag))
	}
	if p := c.EventSubjects; len(p) < 2 || !strings.HasSuffix(p, ".") || strings.ContainsAny(p, " *>") {
		errs = append(
			errs,
			fmt.Errorf("NATS_UPDATES_SUBJECT_PREFIX=%q: must be a subject without wildcards that ends in a dot", p),
		)
	}
	if c.SessionTTL < 0 {
		errs = append(errs, errors.New("NATS_SESSION_CACHE_TTL_SECS must not be negative"))
	}
	return errors.Join(errs...)
}

func webURL(setting, text string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Fragment != "" {
		return fmt.Errorf("%s=%q: must be an http or https URL", setting, text)
	}
	return nil
}
