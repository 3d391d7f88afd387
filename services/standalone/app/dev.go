package app

import (
	_ "embed" // policy.yaml
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/settings"
)

// devDefaults make `dev` work with nothing set: everything on loopback, the page on, the
// sandbox as NoETL and issuer.
func devDefaults() []settings.Default {
	return []settings.Default{
		{Name: "GATEWAY_BIND", Value: "127.0.0.1"},
		{Name: "GATEWAY_NATS_PORT", Value: "0"},
		{Name: "CORS_ALLOWED_ORIGINS", Value: "loopback"},
		{Name: "GATEWAY_OPERATOR_SURFACE", Value: "public"},
		{Name: "GATEWAY_CONSOLE", Value: "true"},
		{Name: "GATEWAY_CONSOLE_SANDBOX", Value: "true"},
		{Name: "GATEWAY_ENFORCE_ACCESS", Value: "execute"},
		{Name: "AUTH_AUDIENCES", Value: "noetl-console"},
		{Name: "AUTH_CLIENT_ID", Value: "noetl-console"},
		{Name: "NOETL_INTERNAL_API_TOKEN", Value: "sandbox-internal-token"},
		{Name: "GATEWAY_SUBSCRIPTION_PATHS", Value: "chat_threads/{thread_id}/**,boards/{board}/**"},
		{Name: "GATEWAY_SUBSCRIPTION_KV_BUCKET", Value: "noetl_documents"},
		{Name: "GATEWAY_MCP", Value: "on"},
		{Name: "LOG_LEVEL", Value: "warn"},
	}
}

//go:embed policy.yaml
var devPolicy string

// policyName is the file of the demonstration policy in the data folder.
const policyName = "policy.yaml"

// policyFile writes the demonstration policy into the data folder, once: an edited one stays.
func (p *process) policyFile() error {
	if p.mode != Dev || p.dir == nil {
		return nil
	}
	path := p.dir.Join(policyName)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the operator's folder
	if err == nil {
		_, err = file.WriteString(devPolicy)
		err = errors.Join(err, file.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("writing the demonstration policy: %w", err)
	}
	p.usePolicy(path)
	return nil
}

func (p *process) usePolicy(path string) {
	p.defaults = append(p.defaults, settings.Default{Name: "AUTH_POLICY_FILE", Value: path})
}

// useResource makes the page's own address the resource of access tokens in dev, unless a public URL says which it is:
// first as people type it, which is what clients are told, and as the listener has it.
func (p *process) useResource(public, publicURL string) {
	if p.mode != Dev || public == "" || publicURL != "" {
		return
	}
	resources := []string{pageOf(public) + "/mcp", public + "/mcp"}
	p.defaults = append(p.defaults, settings.Default{
		Name: "GATEWAY_MCP_RESOURCE", Value: strings.Join(slices.Compact(resources), ","),
	})
}

// pageOf is the address of the listener as people type it.
func pageOf(public string) string { return strings.Replace(public, "127.0.0.1", "localhost", 1) }

// hint tells a person what to do next, once everything serves.
func (p *process) hint(w io.Writer) {
	if p.mode != Dev {
		return
	}
	page := pageOf(p.ready.Public)
	_, _ = fmt.Fprintf(w, `
NoETL gateway, development mode (sandbox NoETL and accounts; not for production)

  Open    %s
  Sign in as demo@, developer@, admin@ or viewer@example.com, password demo
  Stop    Ctrl-C

`, page)
}

// distinct joins the lines of an error, each once: four services report the same typo.
func distinct(err error) string {
	var lines []string
	seen := map[string]bool{}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
