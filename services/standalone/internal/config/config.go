// Package config reads the settings that only standalone has.
package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

// Config holds the settings.
type Config struct {
	Process run.ProcessConfig
	Own
}

// Own holds the settings that no service has.
type Own struct {
	DataDir  string `env:"GATEWAY_DATA_DIR" file:"server.data_dir" default:"./.data"`
	NATSPort int    `env:"GATEWAY_NATS_PORT" file:"nats.port" default:"-1"`
	Client   operatorcli.Config
}

// Load reads the settings and checks them.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	var c Config
	err := settings.LoadValid(&c, environ, defaults...)
	return c, err
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	problems := []error{c.Process.Validate()}
	if c.NATSPort < -1 || c.NATSPort > 65535 {
		problems = append(problems, errors.New("GATEWAY_NATS_PORT must be -1 to 65535"))
	}
	if c.DataDir == "" {
		problems = append(problems, errors.New("GATEWAY_DATA_DIR must name a folder"))
	}
	if replicas := c.Process.NATS.Replicas; !c.ExternalNATS() && replicas > 1 && replicas <= natskit.MaxReplicas {
		problems = append(problems, fmt.Errorf("GATEWAY_NATS_REPLICAS=%d: the embedded NATS is one server: set it to "+
			"1, or NATS_URL to a cluster", replicas))
	}
	return errors.Join(problems...)
}

// ExternalNATS reports whether the user named a NATS server: none is embedded then.
func (c Config) ExternalNATS() bool { return strings.TrimSpace(c.Process.NATS.URL) != "" }
