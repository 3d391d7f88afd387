package httpkit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSConfig holds the settings of a listener that speaks TLS; both unset means plain HTTP, for
// a proxy in front that ends TLS.
type TLSConfig struct {
	CertFile string        `env:"GATEWAY_TLS_CERT_FILE" file:"server.tls_cert_file"`
	KeyFile  string        `env:"GATEWAY_TLS_KEY_FILE" file:"server.tls_key_file"`
	HSTS     time.Duration `env:"GATEWAY_HSTS_MAX_AGE_SECS" file:"server.hsts_max_age_secs" default:"31536000" unit:"s"`
}

// Validate reports what is wrong with the settings.
func (c TLSConfig) Validate() error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New(
			"GATEWAY_TLS_CERT_FILE and GATEWAY_TLS_KEY_FILE go together: set both, or none for plain HTTP",
		)
	}
	return nil
}

// Load reads the certificate. The result is nil if none is set.
func (c TLSConfig) Load(logger *slog.Logger) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil //nolint:nilnil // plain HTTP
	}
	keeper := &certificate{files: c, logger: logger}
	if err := keeper.read(); err != nil {
		return nil, err
	}
	if err := keeper.expired(time.Now()); err != nil { // a proxy in front may not mind
		logger.Warn("clients will refuse the TLS certificate", "err", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: keeper.get}, nil
}

// certificate keeps the newest certificate that could be read.
type certificate struct {
	files  TLSConfig
	logger *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
	checked time.Time
}

// certificateCheck is how often a handshake may look whether the files changed.
const certificateCheck = time.Second

func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certificateCheck {
		return c.current, nil
	}
	c.checked = time.Now()
	if stamp := c.stamps(); stamp != c.stamp {
		// Halfway through a renewal the two files do not fit: the old one serves until they do.
		if err := c.read(); err != nil {
			c.logger.WarnContext(
				contextOf(hello), "the new TLS certificate cannot be used; serving the old one", "err", err,
			)
		} else {
			c.logger.InfoContext(contextOf(hello), "TLS certificate read again")
		}
	}
	return c.current, nil
}

func contextOf(hello *tls.ClientHelloInfo) context.Context {
	if ctx := hello.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

func (c *certificate) read() error {
	stamp := c.stamps()
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return fmt.Errorf("GATEWAY_TLS_CERT_FILE, GATEWAY_TLS_KEY_FILE: %w", err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

func (c *certificate) stamps() (s [2]time.Time) {
	for i, name := range []string{c.files.CertFile, c.files.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			s[i] = info.ModTime()
		}
	}
	return s
}
