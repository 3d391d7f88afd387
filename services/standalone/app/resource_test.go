package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
)

// sandboxToken gets an access token for a resource, as one curl does.
func sandboxToken(t *testing.T, issuer, resource string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"password"}, "username": {"demo@example.com"}, "password": {"demo"},
		"scope": {"playbooks:read playbooks:execute"}, "resource": {resource},
	}
	r, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()),
	)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &tokens); err != nil || tokens.AccessToken == "" {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return tokens.AccessToken
}

// An access token of the sandbox for the page's own /mcp counts in dev, whatever the port and the backend.
func TestDevAcceptsAccessTokensForItsOwnAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ  []string
		accepted func(public string) []string
	}{
		"with the backend playbook": {nil, func(public string) []string {
			return []string{public + "/mcp", strings.Replace(public, "127.0.0.1", "localhost", 1) + "/mcp"}
		}},
		"with the backend sync": {[]string{"AUTH_BACKEND=sync"}, func(public string) []string {
			return []string{public + "/mcp"}
		}},
		"with the backend local": {[]string{"AUTH_BACKEND=local"}, func(public string) []string {
			return []string{public + "/mcp"}
		}},
		"with a public URL": {[]string{"GATEWAY_PUBLIC_URL=https://gw.example.com"}, func(string) []string {
			return []string{"https://gw.example.com/mcp"}
		}},
		"with a resource": {[]string{"GATEWAY_MCP_RESOURCE=https://mcp.example.com/,id"}, func(string) []string {
			return []string{"https://mcp.example.com/"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ready := start(t, append(c.environ, "GATEWAY_DATA_DIR="+t.TempDir())...)
			nc, err := nats.Connect(ready.NATS)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			calls := natskit.NewClient(nc, telemetry.Nop("test"))
			bearer := func(resource string) error {
				out, err := natskit.Call[authwire.BearerRequest, authwire.BearerResponse](
					t.Context(), calls, "auth", authwire.SubjectBearer,
					authwire.BearerRequest{AccessToken: sandboxToken(t, ready.Issuer, resource)},
				)
				if err == nil && (out.SessionToken == "" || len(out.Scopes) != 2) {
					t.Errorf("%+v", out)
				}
				return err
			}
			for _, resource := range c.accepted(ready.Public) {
				if err := bearer(resource); err != nil {
					t.Errorf("%s: %v", resource, err)
				}
			}
			for _, resource := range []string{"http://localhost:1/mcp", ready.Public + "/other"} {
				if f := fault.Of(bearer(resource)); f == nil || f.Code != "wrong_audience" {
					t.Errorf("%s: %v", resource, f)
				}
			}
		})
	}
}
