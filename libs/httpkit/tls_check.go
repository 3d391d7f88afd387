package httpkit

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/noetl/gateway/libs/check"
)

// Check says whether the certificate can be used: that it is there, that its key is its own, and that clients will take
// it at a time.
func (c TLSConfig) Check(now time.Time, report *check.Report) {
	if c.CertFile == "" || c.Validate() != nil {
		return
	}
	keeper := &certificate{files: c, logger: slog.New(slog.DiscardHandler)}
	_, err := keeper.read()
	if report.Fail("certificate", err) || report.Fail("certificate", keeper.expired(now)) {
		return
	}
	end := keeper.current.Leaf.NotAfter
	report.Good("certificate", "%s is valid until %s, for %d days", c.CertFile, end.UTC().Format(time.DateOnly),
		int(end.Sub(now).Hours()/24))
}

// expired reports that the certificate is not valid at a time.
func (c *certificate) expired(now time.Time) error {
	switch leaf := c.current.Leaf; {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("GATEWAY_TLS_CERT_FILE: %s has expired on %s: renew it", c.files.CertFile,
			leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("GATEWAY_TLS_CERT_FILE: %s is not valid before %s: check it, and the clock", c.files.CertFile,
			leaf.NotBefore.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}
