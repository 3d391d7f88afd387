package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/edge-proxy/internal/config"
)

func TestTheDefaultsOfPlaybooksAsTools(t *testing.T) {
	t.Parallel()
	c, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	read, execute := c.MCP.Scopes()
	if c.MCP.On() || !c.MCP.CancelsOnLeave() || read != "playbooks:read" || execute != "playbooks:execute" ||
		len(c.Resources()) != 0 || len(c.Issuers()) != 0 {
		t.Errorf("%+v %v %v", c.MCP, c.Resources(), c.Issuers())
	}
	p, err := c.MCP.Patterns()
	if err != nil || !p.Match("any/path") {
		t.Errorf("%v", err)
	}
}

func TestWhatToolsAreToldOfTheirNeighbours(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{
		"GATEWAY_MCP=on", "GATEWAY_MCP_ON_LEAVE=continue", "GATEWAY_MCP_EXECUTE_SCOPE=none",
		"GATEWAY_PUBLIC_URL=https://gateway.example.com/", "GATEWAY_AUTH0_DOMAIN=x.auth0.example",
		"AUTH_ISSUERS=https://login.example.com,https://x.auth0.example/",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, execute := c.MCP.Scopes(); !c.MCP.On() || c.MCP.CancelsOnLeave() || execute != "" {
		t.Errorf("%+v", c.MCP)
	}
	if diff := cmp.Diff([]string{"https://gateway.example.com/mcp"}, c.Resources()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"https://login.example.com", "https://x.auth0.example/"}, c.Issuers()); diff != "" {
		t.Error(diff)
	}
	c, err = config.Load([]string{
		"GATEWAY_MCP_RESOURCE=https://a.example/mcp, 11111111-2222-3333-4444-555555555555",
		"GATEWAY_PUBLIC_URL=https://b.example",
	})
	// Entra ID writes the id of the application into the audience.
	if err != nil || len(c.Resources()) != 2 || c.Resources()[0] != "https://a.example/mcp" {
		t.Errorf("%v %v", c.Resources(), err)
	}
}

func TestWrongSettingsOfToolsAreNamed(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{
		"GATEWAY_MCP=yes", "GATEWAY_MCP_TOOLS=a/b**", "GATEWAY_MCP_TOOLS=!a", "GATEWAY_MCP_ON_LEAVE=stay",
		"GATEWAY_MCP_RESOURCE=/mcp", "GATEWAY_MCP_RESOURCE=https://a.example/mcp#x", "GATEWAY_MCP_READ_SCOPE=a b",
		`GATEWAY_MCP_EXECUTE_SCOPE="x"`, "GATEWAY_MCP_SCOPE_PREFIX=a b",
		"GATEWAY_MCP_RATE_USER_PER_MIN=-1", "GATEWAY_MCP_RATE_TOOL_PER_MIN=-1",
		"GATEWAY_MCP_CALLS_MAX=0", "GATEWAY_MCP_CALLS_USER_MAX=0",
	} {
		name, _, _ := strings.Cut(wrong, "=")
		if _, err := config.Load([]string{wrong}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
