package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// MCP holds the settings of playbooks as tools of the Model Context Protocol.
type MCP struct {
	Mode         string   `env:"GATEWAY_MCP" file:"mcp.mode" default:"off"`
	Tools        []string `env:"GATEWAY_MCP_TOOLS" file:"mcp.tools" default:"**"`
	Resource     []string `env:"GATEWAY_MCP_RESOURCE" file:"mcp.resource"`
	ReadScope    string   `env:"GATEWAY_MCP_READ_SCOPE" file:"mcp.read_scope" default:"playbooks:read"`
	ExecuteScope string   `env:"GATEWAY_MCP_EXECUTE_SCOPE" file:"mcp.execute_scope" default:"playbooks:execute"`
	ScopePrefix  string   `env:"GATEWAY_MCP_SCOPE_PREFIX" file:"mcp.scope_prefix"`
	OnLeave      string   `env:"GATEWAY_MCP_ON_LEAVE" file:"mcp.on_leave" default:"cancel"`
	RateUser     int      `env:"GATEWAY_MCP_RATE_USER_PER_MIN" file:"mcp.rate_user_per_min" default:"600"`
	RateTool     int      `env:"GATEWAY_MCP_RATE_TOOL_PER_MIN" file:"mcp.rate_tool_per_min" default:"120"`
	Calls        int      `env:"GATEWAY_MCP_CALLS_MAX" file:"mcp.calls_max" default:"1000"`
	CallsUser    int      `env:"GATEWAY_MCP_CALLS_USER_MAX" file:"mcp.calls_user_max" default:"64"`
	IssuerURLs   []string `env:"AUTH_ISSUERS" file:"auth.issuers"`
}

// noScope is the value of a scope setting that asks for none: an empty setting counts as not set.
const noScope = "none"

// On reports whether there is an endpoint.
func (m MCP) On() bool { return m.Mode == "on" }

// CancelsOnLeave reports whether a call ends with the connection of its client.
func (m MCP) CancelsOnLeave() bool { return m.OnLeave == "cancel" }

// Patterns reads the patterns of the playbooks that are offered.
func (m MCP) Patterns() (tools.Patterns, error) {
	p, err := tools.ParsePatterns(m.Tools)
	if err != nil {
		return tools.Patterns{}, fmt.Errorf("GATEWAY_MCP_TOOLS: %w", err)
	}
	return p, nil
}

// Scopes returns the scopes that a token of an issuer needs to see tools and to call them; "" asks for none, and the
// roles of its user decide alone.
func (m MCP) Scopes() (read, execute string) { return scope(m.ReadScope), scope(m.ExecuteScope) }

func scope(setting string) string {
	if setting == noScope {
		return ""
	}
	return setting
}

// Validate reports everything that is wrong with the settings.
func (m MCP) Validate() error {
	_, err := m.Patterns()
	problems := []error{err}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(m.Mode == "on" || m.Mode == "off", "GATEWAY_MCP=%q must be on or off", m.Mode)
	check(m.OnLeave == "cancel" || m.OnLeave == "continue", "GATEWAY_MCP_ON_LEAVE=%q must be cancel or continue",
		m.OnLeave)
	problems = append(problems, authwire.CheckResources(m.Resource))
	for _, s := range []struct{ name, value string }{
		{"GATEWAY_MCP_READ_SCOPE", m.ReadScope}, {"GATEWAY_MCP_EXECUTE_SCOPE", m.ExecuteScope},
	} {
		check(isScope(s.value), "%s=%q must be one scope without spaces, quotes and backslashes, or %s",
			s.name, s.value, noScope)
	}
	check(m.ScopePrefix == "" || isScope(m.ScopePrefix),
		"GATEWAY_MCP_SCOPE_PREFIX=%q must begin a scope, without spaces, quotes and backslashes",
		m.ScopePrefix)
	for _, n := range []struct {
		name         string
		value, least int
	}{
		{"GATEWAY_MCP_RATE_USER_PER_MIN", m.RateUser, 0},
		{"GATEWAY_MCP_RATE_TOOL_PER_MIN", m.RateTool, 0},
		{"GATEWAY_MCP_CALLS_MAX", m.Calls, 1},
		{"GATEWAY_MCP_CALLS_USER_MAX", m.CallsUser, 1},
	} {
		check(n.value >= n.least, "%s=%d must be at least %d", n.name, n.value, n.least)
	}
	return errors.Join(problems...)
}

// isScope reports a scope-token (RFC 6749, section 3.3): it is written into a header between quotes.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r < '!' || r > '~' || r == '"' || r == '\\'
	})
}

// Resources returns the names under which an issuer's token may be meant for this gateway, first the one that clients
// are told: none if nobody said at which address they reach it. The auth service has the same list.
func (c Config) Resources() []string { return authwire.Resources(c.MCP.Resource, c.Web.PublicURL) }

// Issuers returns the issuers whose access tokens are taken, each once: the same list as that of the auth service,
// which reads the same settings.
func (c Config) Issuers() []string {
	list := slices.Clone(c.MCP.IssuerURLs)
	if c.Auth0.Domain != "" {
		list = append(list, "https://"+c.Auth0.Domain+"/")
	}
	var once []string
	for _, issuer := range list {
		if !slices.Contains(once, issuer) {
			once = append(once, issuer)
		}
	}
	return once
}
