package httpapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
)

// maxRegistration bounds the body of a registration, in bytes.
const maxRegistration = 16 << 10

// discovery is the metadata of OpenID Connect Discovery 1.0, section 3, and of RFC 8414, section 2.
type discovery struct {
	Issuer            string   `json:"issuer"`
	Authorization     string   `json:"authorization_endpoint"`
	Token             string   `json:"token_endpoint"`
	Registration      string   `json:"registration_endpoint"`
	UserInfo          string   `json:"userinfo_endpoint"`
	JWKS              string   `json:"jwks_uri"`
	ResponseTypes     []string `json:"response_types_supported"`
	ResponseModes     []string `json:"response_modes_supported"`
	GrantTypes        []string `json:"grant_types_supported"`
	SubjectTypes      []string `json:"subject_types_supported"`
	Signing           []string `json:"id_token_signing_alg_values_supported"`
	Scopes            []string `json:"scopes_supported"`
	Claims            []string `json:"claims_supported"`
	ChallengeMethods  []string `json:"code_challenge_methods_supported"`
	ClientAuth        []string `json:"token_endpoint_auth_methods_supported"`
	ResponseIss       bool     `json:"authorization_response_iss_parameter_supported"`
	RequestParameter  bool     `json:"request_parameter_supported"`
	RequestURISupport bool     `json:"request_uri_parameter_supported"`
	ClientDocuments   bool     `json:"client_id_metadata_document_supported,omitempty"`
}

// metadataPaths are where clients look for the metadata of an issuer with a path: OpenID Connect appends, RFC 8414
// inserts, and clients of the Model Context Protocol try all.
func metadataPaths() []string {
	return []string{
		"/oidc/.well-known/openid-configuration", "/oidc/.well-known/oauth-authorization-server",
		"/.well-known/openid-configuration/oidc", "/.well-known/oauth-authorization-server/oidc",
	}
}

func (o oidc) discovery(w http.ResponseWriter, _ *http.Request) {
	u := o.iss.URL()
	httpkit.WriteJSON(w, http.StatusOK, discovery{
		Issuer:        u,
		Authorization: u + "/authorize",
		Token:         u + "/token",
		Registration:  u + "/register",
		UserInfo:      u + "/userinfo",
		JWKS:          u + "/jwks.json",
		ResponseTypes: []string{"code"},
		ResponseModes: []string{"query"},
		GrantTypes:    []string{issuer.GrantCode, issuer.GrantRefresh, issuer.GrantPassword},
		SubjectTypes:  []string{"public"},
		Signing:       []string{"RS256"},
		Scopes:        issuer.Scopes(),
		Claims: []string{
			"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "email", "email_verified", "name", "auth_time",
		},
		ChallengeMethods: []string{"S256"},
		ClientAuth:       []string{"none"},
		ResponseIss:      true,
		ClientDocuments:  o.iss.ReadsDocuments(),
	})
}

// register is dynamic client registration (RFC 7591, section 3).
func (o oidc) register(w http.ResponseWriter, r *http.Request) {
	bad := func(text string) {
		writeOIDC(w, http.StatusBadRequest, &issuer.Error{Code: issuer.InvalidMetadata, Description: text})
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(
		strings.TrimSpace(media), "application/json",
	) {
		bad("Content-Type must be application/json")
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	if err != nil {
		bad("the body cannot be read, or is larger than 16 KiB")
		return
	}
	var in issuer.Registration
	if err := json.Unmarshal(raw, &in); err != nil {
		bad("the body must be a JSON object of client metadata")
		return
	}
	out, err := o.iss.Register(in)
	if err != nil {
		o.deps.Telemetry.Logger.InfoContext(r.Context(), "registration refused", "reason", codeOf(err))
		writeOIDC(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	httpkit.WriteJSON(w, http.StatusCreated, out)
}
