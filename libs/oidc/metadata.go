package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds on an issuer: how long one request may take, how large its documents may be, and how often it may
// redirect. Real documents take a few kilobytes.
const (
	FetchTimeout = 5 * time.Second
	MaxDocument  = 256 << 10
	maxRedirects = 3
)

// Metadata is what is read of an issuer's metadata (OpenID Connect Discovery 1.0, section 3).
type Metadata struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	NamesIssuer   bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207, section 3
}

// Discover gets an issuer's metadata (OpenID Connect Discovery 1.0, section 4).
func Discover(ctx context.Context, client *http.Client, issuer string) (Metadata, error) {
	var doc Metadata
	if err := get(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &doc); err != nil {
		return doc, fmt.Errorf("discovery document: %w", err)
	}
	if doc.Issuer != issuer {
		return doc, fmt.Errorf("the discovery document of %q is of the issuer %q", issuer, doc.Issuer)
	}
	return doc, nil
}

func get(ctx context.Context, client *http.Client, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxDocument+1))
	if err != nil {
		return err
	}
	if len(body) > MaxDocument {
		return fmt.Errorf("larger than %d bytes", MaxDocument)
	}
	return json.Unmarshal(body, into)
}

// sameOrigin follows a redirect within the host that was asked, and to nowhere else: keys
// that come from another place are not the issuer's.
func sameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return errors.New("the redirect leaves the issuer")
	}
	return nil
}

// CheckEndpoint reports why a URL of an issuer's metadata cannot be trusted. It accepts https anywhere, because
// large issuers keep their keys on another host of theirs, and plain http on this machine if the issuer is there
// too.
func CheckEndpoint(raw, issuer string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("not a plain URL")
	}
	from, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	if u.Scheme == "https" || u.Scheme == "http" && from.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return errors.New("not an https URL")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// SameHost reports whether a domain, as people write it, is the host of an issuer.
func SameHost(issuer, domain string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	domain = strings.TrimSuffix(strings.ToLower(domain), "/")
	domain = strings.TrimPrefix(strings.TrimPrefix(domain, "https://"), "http://")
	return domain == strings.ToLower(u.Host) || domain == strings.ToLower(u.Host+strings.TrimSuffix(u.Path, "/"))
}

// CheckIssuer reports why a URL cannot be an issuer: keys that are fetched without TLS can be
// replaced by whoever is on the way.
func CheckIssuer(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("issuer %q must be a plain URL such as https://login.example.com/", raw)
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("issuer %q must be an https URL (http only on this machine)", raw)
	}
}
