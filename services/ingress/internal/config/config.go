// Package config reads the settings of ingress.
package config

import (
	"errors"
	"time"

	"github.com/noetl/gateway/libs/config"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
)

// Config holds the settings.
type Config struct {
	Process     run.ProcessConfig
	NoETL       noetl.Config
	Port        int           `env:"ROUTER_PORT,GATEWAY_PORT" file:"server.port" default:"8093" doc:"listener for deliveries, behind edge-proxy; 0 picks a free port"`
	Bind        string        `env:"GATEWAY_BIND" file:"server.bind" default:"0.0.0.0" doc:"address of that listener"`
	MaxBody     int64         `env:"INGRESS_MAX_BODY_BYTES" file:"ingress.max_body_bytes" default:"10485760" doc:"largest delivery, in bytes"`
	ListenerTTL time.Duration `env:"INGRESS_LISTENER_TTL_SECS" file:"ingress.listener_ttl_secs" default:"30" unit:"s" doc:"how long a listener's configuration is used without asking NoETL again"`
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
	if c.Patience <= 0 {
		problems = append(problems, errors.New("INGRESS_DISPATCH_TIMEOUT_SECS must be above 0"))
	}
	return errors.Join(problems...)
}
