package webhook

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// maxCertificates bounds the certificates that are kept. A sender uses one at a time, and a new one now and then.
	maxCertificates = 8
	// certificateTTL is how long a certificate is used without being fetched again, and certificateRetry how long a
	// URL that had none is believed to have none.
	certificateTTL   = 24 * time.Hour
	certificateRetry = time.Minute
	// maxCertificate bounds a fetched certificate, in bytes.
	maxCertificate = 64 << 10
	// maxCertificateURL bounds its address.
	maxCertificateURL = 512
)

// FetchCertificate gets a certificate in PEM form. It MUST use https only, follow no redirect to another host, and
// bound the size and the time. The URL's host is one that the scheme allows.
type FetchCertificate func(ctx context.Context, url string) ([]byte, error)

// Certificates fetches and keeps the certificates of signers, for any number of verifiers. One is fetched at a time:
// who makes URLs up must not make this gateway ask the sender's servers more than that. It is safe for concurrent use.
type Certificates struct {
	fetch    FetchCertificate
	fetching chan struct{}

	mu    sync.Mutex
	known map[string]knownCertificate
}

type knownCertificate struct {
	key   any // of x509.Certificate.PublicKey
	from  time.Time
	until time.Time // of the certificate
	err   error
	fresh time.Time // used until then
}

// NewCertificates makes an empty cache.
func NewCertificates(fetch FetchCertificate) *Certificates {
	return &Certificates{fetch: fetch, fetching: make(chan struct{}, 1), known: map[string]knownCertificate{}}
}

var errNotValidNow = errors.New("the certificate is not valid now")

// key returns the public key behind a URL, which [Certificate.allows].
func (c *Certificates) key(ctx context.Context, address string, now time.Time) (any, error) {
	known, ok := c.get(address, now)
	if !ok {
		select {
		case c.fetching <- struct{}{}:
			defer func() { <-c.fetching }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if known, ok = c.get(address, now); !ok {
			known = c.ask(ctx, address, now)
			if ctx.Err() == nil {
				c.put(address, known, now)
			}
		}
	}
	if known.err != nil {
		return nil, known.err
	}
	if now.Before(known.from) || now.After(known.until) {
		return nil, errNotValidNow
	}
	return known.key, nil
}

func (c *Certificates) get(address string, now time.Time) (knownCertificate, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[address]
	return known, ok && now.Before(known.fresh)
}

// put keeps a certificate; for its room the one that would be fetched again first goes.
func (c *Certificates) put(address string, known knownCertificate, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, replaces := c.known[address]; !replaces && len(c.known) >= maxCertificates {
		oldest := ""
		for key, k := range c.known {
			if oldest == "" || k.fresh.Before(c.known[oldest].fresh) {
				oldest = key
			}
		}
		if known.err != nil && c.known[oldest].err == nil && now.Before(c.known[oldest].fresh) {
			return // a URL that leads nowhere does not push a good one out
		}
		delete(c.known, oldest)
	}
	c.known[address] = known
}

func (c *Certificates) ask(ctx context.Context, address string, now time.Time) knownCertificate {
	failed := func(err error) knownCertificate {
		return knownCertificate{err: err, fresh: now.Add(certificateRetry)}
	}
	text, err := c.fetch(ctx, address)
	if err != nil {
		return failed(err)
	}
	block, _ := pem.Decode(text[:min(len(text), maxCertificate)])
	if block == nil {
		return failed(errors.New("the certificate is not in PEM form"))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return failed(err)
	}
	return knownCertificate{
		key: cert.PublicKey, from: cert.NotBefore, until: cert.NotAfter, fresh: now.Add(certificateTTL),
	}
}

// allows reports whether a certificate may be fetched from a URL: https, a host of the sender, no port, no user.
func (c Certificate) allows(address string) bool {
	return pinned(address, c.Hosts) && strings.HasPrefix(pathOf(address), c.Path)
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

// pinned reports whether a URL is https and at one of the hosts. A label "*" of a host stands for letters, digits and
// hyphens, at least three.
func pinned(address string, hosts []string) bool {
	if len(address) > maxCertificateURL || strings.ContainsAny(address, "\\ \t\r\n") {
		return false
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || u.Host != u.Hostname() ||
		u.Fragment != "" {
		return false
	}
	for _, host := range hosts {
		if hostMatches(u.Host, host) {
			return true
		}
	}
	return false
}

func hostMatches(host, pattern string) bool {
	labels, want := strings.Split(host, "."), strings.Split(pattern, ".")
	if len(labels) != len(want) {
		return false
	}
	for i, label := range labels {
		if want[i] != "*" {
			if label != want[i] {
				return false
			}
			continue
		}
		if len(label) < 3 || strings.Trim(label, alphanumeric+"-") != "" {
			return false
		}
	}
	return true
}
