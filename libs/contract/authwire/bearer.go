package authwire

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// SubjectBearer exchanges an access token of an issuer for a session.
const SubjectBearer = "gateway.auth.v1.bearer" //nolint:gosec // a subject and no credential

// BearerRequest shows an access token that was issued for the gateway as a resource (RFC 8707, RFC 9068). The
// answer to one that is no such token is the fault Unauthenticated.
type BearerRequest struct {
	AccessToken     string `json:"access_token"`
	ClientIP        string `json:"client_ip,omitempty"`
	ClientUserAgent string `json:"client_user_agent,omitempty"`
}

// BearerResponse is the session of its holder: the same one for the same access token, on every replica. A session
// that was ended stays ended for as long as the access token lives.
type BearerResponse struct {
	SessionToken string    `json:"session_token"`
	Scopes       []string  `json:"scopes"`
	ExpiresAt    time.Time `json:"expires_at"` // of the access token
}

// mcpPath is where edge-proxy serves the Model Context Protocol.
const mcpPath = "/mcp"

// Resources are the audiences of which an access token must have one, as GATEWAY_MCP_RESOURCE lists them or else as
// the public URL gives one. The first is the one that clients are told. None means that no access token is accepted.
func Resources(listed []string, publicURL string) []string {
	if len(listed) > 0 {
		return listed
	}
	if publicURL == "" {
		return nil
	}
	return []string{strings.TrimRight(publicURL, "/") + mcpPath}
}

// CheckResources says what is wrong with a list of resources. The first must be what RFC 8707 calls one, because
// clients are told it; the others may be whatever an issuer writes into aud, such as the id of an application.
func CheckResources(listed []string) error {
	for i, resource := range listed {
		if resource == "" || strings.ContainsAny(resource, " \t\r\n\"\\") || len(resource) > maxResource {
			return fmt.Errorf("GATEWAY_MCP_RESOURCE=%q: must be 1 to 2048 characters, no spaces and quotes", resource)
		}
		u, err := url.Parse(resource)
		if i == 0 && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil ||
			strings.ContainsAny(resource, "?#")) {
			return fmt.Errorf("GATEWAY_MCP_RESOURCE=%q: the first must be the http or https URL of the MCP endpoint, "+
				"without query and fragment", resource)
		}
	}
	return nil
}

// maxResource bounds a resource, in bytes: it is in a header of each challenge.
const maxResource = 2048
