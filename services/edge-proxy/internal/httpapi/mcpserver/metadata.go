package mcpserver

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/noetl/gateway/libs/httpkit"
)

// wellKnown is where the metadata of a protected resource are (RFC 9728, section 3); the path of the resource follows.
const wellKnown = "/.well-known/oauth-protected-resource"

// metadataPaths are those at which clients look: with the path of the resource, and without.
func (s *Server) metadataPaths() []string {
	if path := s.resourcePath(); path != "" {
		return []string{wellKnown, wellKnown + path}
	}
	return []string{wellKnown}
}

// resourcePath is the path of the resource as clients know it: a proxy in front may have another one. "" is none.
func (s *Server) resourcePath() string {
	u, err := url.Parse(s.Resource)
	if s.Resource == "" || err != nil {
		return Path
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// metadataURL is what a challenge names, "" if nobody said under which URL clients reach the gateway.
func (s *Server) metadataURL() string {
	u, err := url.Parse(s.Resource)
	if s.Resource == "" || err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + wellKnown + s.resourcePath()
}

// scopes are those that the gateway knows, in the order of what they allow.
func (s *Server) scopes() []string {
	var all []string
	for _, scope := range []string{s.ReadScope, s.ExecuteScope} {
		if scope != "" {
			all = append(all, scope)
		}
	}
	return all
}

// asked are scopes under the names by which a client asks an issuer for them.
func (s *Server) asked(scopes []string) []string {
	names := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		names = append(names, s.ScopePrefix+scope)
	}
	return names
}

// metadata answers with the metadata of the endpoint as a protected resource.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	if s.Resource == "" {
		httpkit.NotFound(w, r)
		return
	}
	// They say nothing about anybody: any page may read them.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Del("Access-Control-Allow-Credentials")
	w.Header().Set("Cache-Control", "public, max-age=300")
	httpkit.WriteJSON(w, http.StatusOK, oauthex.ProtectedResourceMetadata{
		Resource: s.Resource, AuthorizationServers: s.Issuers, ScopesSupported: s.asked(s.scopes()),
		BearerMethodsSupported: []string{"header"}, ResourceName: "NoETL gateway",
	})
}

// challenge is the value of WWW-Authenticate (RFC 6750, section 3; RFC 9728, section 5.1). problem is "" for a request
// that shows no token.
func (s *Server) challenge(problem, description string, scopes []string) string {
	parts := []string{}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+`="`+value+`"`)
		}
	}
	add("resource_metadata", s.metadataURL())
	add("scope", strings.Join(s.asked(scopes), " "))
	add("error", problem)
	add("error_description", description)
	if len(parts) == 0 {
		return `Bearer realm="noetl-gateway"`
	}
	return "Bearer " + strings.Join(parts, ", ")
}
