// Package weborigin decides what web pages may do: which origins may read answers and open
// streams (Fetch, section 3.2; RFC 6454), and when a cookie that a browser sends by itself counts.
package weborigin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Config holds the settings.
type Config struct {
	Origins     []string `env:"CORS_ALLOWED_ORIGINS" file:"cors.allowed_origins" default:"http://localhost:8080,http://localhost:8090,http://localhost:3000"`
	Credentials bool     `env:"CORS_ALLOW_CREDENTIALS" file:"cors.allow_credentials" default:"true"`
	PublicURL   string   `env:"GATEWAY_PUBLIC_URL" file:"server.public_url"`
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	var problems []error
	if c.PublicURL != "" && !IsOrigin(strings.TrimRight(c.PublicURL, "/")) {
		problems = append(
			problems,
			fmt.Errorf("GATEWAY_PUBLIC_URL=%q must be an origin such as https://gateway.example.com", c.PublicURL),
		)
	}
	for _, origin := range c.Origins {
		switch {
		case origin == everybody && c.Credentials:
			problems = append(
				problems,
				errors.New(
					"CORS_ALLOWED_ORIGINS=* with CORS_ALLOW_CREDENTIALS would let any web page act for a logged-in "+
						"user: list the origins",
				),
			)
		case origin != everybody && origin != Loopback && !IsOrigin(strings.Replace(origin, "://*.", "://any.", 1)):
			problems = append(
				problems,
				fmt.Errorf(
					"CORS_ALLOWED_ORIGINS: %q must be an origin such as https://app.example.com, without a path or "+
						"a slash at the end; https://*.example.com stands for all below, loopback for this machine",
					origin,
				),
			)
		}
	}
	return errors.Join(problems...)
}

// IsOrigin reports whether s is what a browser sends as Origin: scheme, host and port, no more.
func IsOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		s == u.Scheme+"://"+u.Host && !strings.ContainsFunc(u.Host, notInHost)
}

// notInHost reports whether a browser never sends a character in the host or port of an origin: it sends names in ASCII
// (Fetch, section 3.2), and a bracketed address.
func notInHost(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(".-_:[]", r)
}

// all returns the listed origins and the gateway's own as browsers see it.
func (c Config) all() []string {
	if c.PublicURL == "" {
		return c.Origins
	}
	return append(slices.Clone(c.Origins), strings.TrimRight(c.PublicURL, "/"))
}

// Public returns the gateway's own origin as clients see it, nil if it is not set.
func (c Config) Public() *url.URL {
	u, err := url.Parse(strings.TrimRight(c.PublicURL, "/"))
	if c.PublicURL == "" || err != nil {
		return nil
	}
	return u
}

// Loopback in the list stands for every page that this machine serves to itself, on any port: what developers use.
// Other machines cannot have such an origin, but any program on this one can.
const Loopback = "loopback"

// isLoopback reports whether an origin names this machine (RFC 6761, section 6.3).
func isLoopback(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || !IsOrigin(origin) {
		return false
	}
	host := strings.ToLower(u.Hostname())
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (err == nil && ip.IsLoopback())
}

// everybody in the list lets any page read, and none act as a user.
const everybody = "*"
