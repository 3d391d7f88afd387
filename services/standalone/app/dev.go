package app

import (
	"fmt"
	"io"
	"strings"

	settings "github.com/noetl/gateway/libs/config"
)

// devDefaults make `dev` work with nothing set: everything on loopback, the page on, the
// sandbox as NoETL and issuer.
func devDefaults() []settings.Default {
	return []settings.Default{
		{Name: "GATEWAY_BIND", Value: "127.0.0.1"},
		{Name: "GATEWAY_NATS_PORT", Value: "0"},
		{Name: "GATEWAY_CONSOLE", Value: "true"},
		{Name: "GATEWAY_CONSOLE_SANDBOX", Value: "true"},
		{Name: "GATEWAY_ENFORCE_ACCESS", Value: "execute"},
		{Name: "AUTH_AUDIENCES", Value: "noetl-console"},
		{Name: "NOETL_INTERNAL_API_TOKEN", Value: "sandbox-internal-token"},
		{Name: "LOG_LEVEL", Value: "warn"},
	}
}

// hint tells a person what to do next, once everything serves.
func (p *process) hint(w io.Writer) {
	if p.mode != Dev {
		return
	}
	page := strings.Replace(p.ready.Public, "127.0.0.1", "localhost", 1)
	_, _ = fmt.Fprintf(w, `
NoETL gateway, development mode (sandbox NoETL and accounts; not for production)

  Open    %s
  Sign in as demo@example.com, admin@example.com or viewer@example.com, password demo
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
