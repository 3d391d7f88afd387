package httpkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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
	cfg, _, err := c.Keep(logger, nil)
	return cfg, err
}

// Keep is Load that also returns what reads the certificate again when somebody asks for it, and says what changed.
// Handshakes look by themselves too; note, if not nil, gets what they find: nil, or why the old one still serves.
func (c TLSConfig) Keep(
	logger *slog.Logger, note func(error),
) (*tls.Config, func(context.Context) (string, error), error) {
	if c.CertFile == "" {
		return nil, nil, nil // plain HTTP
	}
	keeper := &certificate{files: c, logger: logger, note: note}
	if _, err := keeper.read(); err != nil {
		return nil, nil, err
	}
	if err := keeper.expired(time.Now()); err != nil { // a proxy in front may not mind
		logger.Warn("clients will refuse the TLS certificate", "err", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: keeper.get}, keeper.again, nil
}

// certificate keeps the newest certificate that could be read.
type certificate struct {
	files  TLSConfig
	logger *slog.Logger
	note   func(error)

	mu      sync.Mutex
	told    string // why the newest cannot be used, as the log was told
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
		_, err := c.read()
		if c.note != nil {
			c.note(err)
		}
		switch {
		case err == nil:
			c.logger.InfoContext(contextOf(hello), "TLS certificate read again")
		case c.told != err.Error():
			c.told = err.Error()
			c.logger.WarnContext(
				contextOf(hello), "the new TLS certificate cannot be used; serving the old one", "err", err,
			)
		}
	}
	return c.current, nil
}

// again reads the files now.
func (c *certificate) again(context.Context) (changed string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.current
	differs, err := c.read()
	if err == nil && differs {
		if err = c.expired(time.Now()); err != nil {
			c.current = before
		}
	}
	if err != nil {
		c.told = err.Error()
		return "", err
	}
	if !differs {
		return "", nil
	}
	return "valid until " + c.current.Leaf.NotAfter.UTC().Format(time.RFC3339), nil
}

func contextOf(hello *tls.ClientHelloInfo) context.Context {
	if ctx := hello.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

func (c *certificate) read() (differs bool, err error) {
	stamp := c.stamps()
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return false, fmt.Errorf(
			"GATEWAY_TLS_CERT_FILE=%s, GATEWAY_TLS_KEY_FILE=%s: %w", c.files.CertFile, c.files.KeyFile, err)
	}
	differs = c.current == nil || !slices.EqualFunc(c.current.Certificate, pair.Certificate, bytes.Equal)
	c.current, c.stamp, c.told = &pair, stamp, ""
	return differs, nil
}

func (c *certificate) stamps() (s [2]time.Time) {
	for i, name := range []string{c.files.CertFile, c.files.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			s[i] = info.ModTime()
		}
	}
	return s
}
